"""A real Chromium calls over bad networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.speech import scripted_speech, silence, write_microphone

from .calling import Browser, Service, browsing, busy
from .link import Conditions, larger_than, udp
from .nat import Nat
from .world import World

pytestmark = pytest.mark.browser

HOME = ("203.0.113.5", "2001:db8:1::5")
TRANSCRIPT = "response.output_audio_transcript"
ORDER = (
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "response.created",
    f"{TRANSCRIPT}.done",
    "response.done",
)
COUNTERS = ("concealedSamples", "totalSamplesReceived")
LARGE = 200_000
"""Characters of one event; Chromium takes no message above 262144 bytes."""


@pytest.fixture(scope="session")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Asks once, when the call has surely been made."""
    path = tmp_path_factory.mktemp("speaker") / "once.wav"
    return write_microphone(path, silence(2), scripted_speech("What is this"), silence(120))


def _answered(browser: Browser) -> None:
    """The spoken question was understood, and its answer comes whole: in words, in order, and aloud."""
    done = browser.until("of('response.done').find((event) => event.response.status === 'completed')")
    browser.wait_for("output_audio_buffer.started")
    browser.until("heard().then((report) => report.totalAudioEnergy > 0.05)")
    response = done["response"]["id"]
    events = browser.events
    assert events[0]["type"] == "session.created"
    own = [event for event in events if event.get("response_id") == response]
    (words,) = (event["transcript"] for event in own if event["type"] == f"{TRANSCRIPT}.done")
    assert words.startswith("You said: I said something for about")
    assert "".join(event["delta"] for event in own if event["type"] == f"{TRANSCRIPT}.delta") == words
    kinds = [event["type"] for event in events]
    # On a busy machine the microphone itself may stop in mid-sentence, and make two of it.
    turn = kinds[len(kinds) - 1 - kinds[::-1].index(ORDER[0]) :]
    assert [kind for kind in turn if kind in ORDER] == list(ORDER)


def _remark(text: str) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content},
    }


def _remarks(browser: Browser, count: int) -> list[str]:
    """What the service said it was told, once it has said so of ``count`` remarks."""
    browser.until(f"remarks().length >= {count}")
    return list(browser.page.evaluate("remarks()"))


def _large_event_returns(browser: Browser) -> None:
    text = "0123456789" * (LARGE // 10)
    browser.send(_remark(text))
    assert _remarks(browser, 1) == [text]


def test_over_a_clean_line_the_voice_has_no_gap(world: World, service: Service, speaker: Path) -> None:
    with world.caller(*HOME), browsing(service, speaker) as browser:
        browser.wait_for("session.created")
        before = browser.heard()
        _answered(browser)
        browser.wait_for("output_audio_buffer.stopped")
        after = browser.heard()
        assert after["packetsLost"] == 0
        concealed, received = (after[name] - before[name] for name in COUNTERS)
        # 0 to 0.3 % of it; a Chromium that gets no turn has gaps of its own.
        assert concealed < (0.15 if busy() else 0.01) * received
        path = browser.path()
        assert (path["protocol"], path["port"]) == ("udp", service.media_port)


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_loss_and_reordering(world: World, service: Service, speaker: Path, loss: float) -> None:
    world.under(Conditions(delay=0.02, jitter=0.03, loss=loss, repeats=0.01))
    lost, concealed = world.up.lost, service.counted("frames_concealed_total")
    with world.caller(*HOME), browsing(service, speaker) as browser:
        _answered(browser)
        texts = [f"remark {number}" for number in range(30)]
        for text in texts:
            browser.send(_remark(text))
        assert _remarks(browser, len(texts)) == texts
        assert world.up.lost > lost
        assert service.counted("frames_concealed_total") > concealed


def test_a_path_mtu_of_1280(world: World, service: Service, speaker: Path) -> None:
    world.under(Conditions(delay=0.02, refuses=larger_than(1280)))
    lost = world.up.lost, world.down.lost
    with world.caller(*HOME), browsing(service, speaker) as browser:
        _large_event_returns(browser)
        assert (world.up.lost, world.down.lost) == lost, "a packet was too large"


def test_ipv6_alone_at_its_smallest_mtu(world: World, service: Service, speaker: Path) -> None:
    world.under(Conditions(delay=0.02, refuses=larger_than(1280)))
    with world.caller(HOME[1]), browsing(service, speaker, ipv6=True) as browser:
        assert ":" in browser.path()["address"]
        _large_event_returns(browser)


def test_udp_is_blocked(world: World, service: Service, speaker: Path) -> None:
    world.under(Conditions(delay=0.02, refuses=udp))
    with world.caller(*HOME), browsing(service, speaker) as browser:
        _answered(browser)
        path = browser.path()
        assert (path["protocol"], path["port"]) == ("tcp", service.media_port)


def test_a_symmetric_nat_that_forgets(world: World, service: Service, speaker: Path) -> None:
    nat = Nat("203.0.113.77", symmetric=True)
    with world.caller("192.168.7.2", behind=nat), browsing(service, speaker) as browser:
        browser.wait_for("session.created")
        ports = nat.ports
        nat.rebind()
        browser.send(_remark("still there?"))
        _remarks(browser, 1)
        assert nat.ports
        assert not nat.ports & ports
        _answered(browser)
