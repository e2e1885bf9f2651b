"""Where a barge-in cuts is where a real Chromium stopped hearing our voice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from vivavoz.media.peer import Peer

from .peers import RecordingSink, running
from .test_chromium import _page, chromium  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser

RATE = 24_000

PROBE = """async () => {
  // What leaves the jitter buffer for the loudspeaker, counted sample by sample.
  const context = new AudioContext({sampleRate: 48000});
  const source = context.createMediaStreamSource(new MediaStream([pc.getReceivers()[0].track]));
  const code = `registerProcessor("probe", class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples) this.port.postMessage(samples.slice());
      return true;
    }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  const probe = new AudioWorkletNode(context, "probe");
  window.loud = 0;
  probe.port.onmessage = ({data}) => {
    let energy = 0;
    for (const sample of data) energy += sample * sample;
    if (energy / data.length > 1e-4) window.loud += data.length;
  };
  // Once it is silent for a quarter of a second.
  window.total = async () => {
    for (let before = -1; before !== window.loud; ) {
      before = window.loud;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    return window.loud;
  };
  source.connect(probe).connect(context.destination);
}"""


def steady(ms: int) -> bytes:
    """A tone that is equally loud throughout."""
    at = np.arange(ms * RATE // 1000) / RATE
    return (np.sin(2 * np.pi * 440 * at) * 12_000).astype("<i2").tobytes()


async def test_what_is_cut_is_what_was_not_played(chromium: None, tmp_path: Path) -> None:  # noqa: F811
    """Interruptions at odd moments. What has left cannot be called back: it is heard to its end, so the cut
    belongs behind it, not behind what was being heard when the caller began to speak."""
    sink, calls = RecordingSink(), list[Peer]()
    errors: list[float] = []
    on_its_way: list[float] = []
    async with running() as engine, _page(engine, sink, calls, tmp_path) as page:
        await page.evaluate("start({microphone: false})")
        await sink.wait_for(lambda: sink.state == "connected")
        await page.evaluate(PROBE)
        for n in range(7):
            before = await page.evaluate("total()")
            calls[0].write(steady(5_000), f"answer{n}")
            await page.wait_for_function(f"loud > {before + 48 * (200 + 37 * n)}")
            await asyncio.sleep(0.007 * n)
            (played,) = calls[0].flush()
            by_then = await page.evaluate("loud") - before
            heard = await page.evaluate("total()") - before
            errors.append(abs(played.samples / 24 - heard / 48))
            on_its_way.append(played.samples / 24 - by_then / 48)
    # 11 at most times; a machine busy with other things makes Chromium conceal, and play longer.
    assert median(errors) <= 40, f"of {errors} ms"
    assert median(on_its_way) > median(errors), f"{on_its_way} ms were on their way, {errors} ms off the cut"
