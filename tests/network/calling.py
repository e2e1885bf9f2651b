"""The service in its namespace, and callers in theirs: the measuring peer and a real Chromium."""

from __future__ import annotations

import contextlib
import os
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.chromium import chromium
from tests.running import Running, free_port, vivavoz
from vivavoz.measuring.endpoint import Endpoint
from vivavoz.measuring.line import Line, called
from vivavoz.measuring.peer import Peers

from .namespaces import Namespace
from .world import World

KEY = "key-of-the-network-tests"
_MODEL = "gpt-realtime"


def busy() -> bool:
    """Whether other programs keep these from their turns: what comes late may then be the machine's doing."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


class Service:
    """``vivavoz serve`` on all addresses of a namespace. No route leads into it or out but the line: it is as
    private as loopback."""

    def __init__(self, host: Namespace, running: Running, media_port: int) -> None:
        self.media_port = media_port
        """Of UDP and of TCP."""
        self._host = host
        self._running = running

    @classmethod
    @contextlib.contextmanager
    def started(cls, world: World, folder: Path) -> Iterator[Service]:
        with world.service.entered():
            media = free_port()
            told = {
                "VIVAVOZ_HOST": "::",
                "VIVAVOZ_UDP_PORT": str(media),
                "VIVAVOZ_TCP_MEDIA_PORT": str(media),
                "VIVAVOZ_PAGE": "off",
            }
            stack = contextlib.ExitStack()
            running = stack.enter_context(vivavoz(folder, key=KEY, environment=told))
        with stack:
            yield cls(world.service, running, media)

    def url(self, *, ipv6: bool = False) -> str:
        """As callers reach it."""
        host = self._host.addresses[ipv6]
        return f"http://{f'[{host}]' if ipv6 else host}:{self._running.port}"

    def wait_for_calls(self, count: int, within_s: float = 10.0) -> None:
        """Not over the line: it may be down."""
        with self._host.entered():
            self._running.wait_for_calls(count, within_s)

    def calls(self) -> int:
        with self._host.entered():
            return int(self._running.get("/healthz")["calls"])

    def counted(self, name: str, **labels: str) -> float:
        """A sum over ``/metrics``: of ``vivavoz_media_<name>``, where these labels are."""
        headers = {"Authorization": f"Bearer {KEY}"}
        with self._host.entered():
            request = urllib.request.Request(f"{self._running.url}/metrics", headers=headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                text = answer.read().decode()
        rows = re.findall(rf"^vivavoz_media_{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(value) for told, value in rows if all(each in told for each in wanted))


@contextlib.asynccontextmanager
async def calling(service: Service, host: Namespace) -> AsyncIterator[Line]:
    """A call of the measuring peer, which has no buffer of its own, over UDP and IPv4."""
    async with (
        Endpoint(service.url(), model=_MODEL, key=KEY).opened() as endpoint,
        called("webrtc", endpoint, Peers(), [host.addresses[0]]) as line,
    ):
        yield line


# ------------------------------------------------------------------ Chromium

_PAGE = """<!doctype html><title>caller</title><script>
const events = [], states = [];
let pc, channel;
async function call(key) {
  pc = new RTCPeerConnection();
  pc.onconnectionstatechange = () => states.push(pc.connectionState);
  channel = pc.createDataChannel("oai-events");
  channel.onmessage = (message) => events.push(JSON.parse(message.data));
  pc.ontrack = (event) => {
    window.audio = new Audio();
    audio.autoplay = true;
    audio.srcObject = event.streams[0];
  };
  const microphone = await navigator.mediaDevices.getUserMedia({audio: true});
  pc.addTrack(microphone.getTracks()[0], microphone);
  await pc.setLocalDescription();
  const answer = await fetch("/v1/realtime/calls?model=gpt-realtime", {
    method: "POST", body: pc.localDescription.sdp,
    headers: {"Content-Type": "application/sdp", "Authorization": "Bearer " + key},
  });
  if (!answer.ok) throw new Error(answer.status + " " + await answer.text());
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  await new Promise((resolve) => channel.onopen = resolve);
}
function send(event) { channel.send(JSON.stringify(event)); }
function of(type) { return events.filter((event) => event.type === type); }
function remarks() {
  return of("conversation.item.added").flatMap((event) => event.item.content)
    .filter((part) => part.type === "input_text").map((part) => part.text);
}
async function reports() { return [...(await pc.getStats()).values()]; }
async function heard() {
  return (await reports()).find((each) => each.type === "inbound-rtp" && each.kind === "audio");
}
async function path() {
  const all = await reports();
  const pair = all.find((each) => each.type === "transport").selectedCandidatePairId;
  const found = all.find((each) => each.id === pair);
  return all.find((each) => each.id === found.remoteCandidateId);
}
</script>"""


class Browser:
    """A call in Chromium. Its events are kept by the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def send(self, event: dict[str, Any]) -> None:
        self.page.evaluate("event => send(event)", event)

    def wait_for(self, kind: str, count: int = 1, within_s: float = 20.0) -> list[dict[str, Any]]:
        """The events of a type, once there are so many."""
        self.page.wait_for_function(
            "([kind, count]) => of(kind).length >= count", arg=[kind, count], timeout=within_s * 1000
        )
        return list(self.page.evaluate("kind => of(kind)", kind))

    def until(self, expression: str, within_s: float = 20.0) -> Any:
        """The value of a JavaScript expression, once it has one."""
        return self.page.wait_for_function(expression, timeout=within_s * 1000).json_value()

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate("events"))

    def heard(self) -> dict[str, float]:
        """``inbound-rtp`` of getStats."""
        return dict(self.page.evaluate("heard()"))

    def path(self) -> dict[str, Any]:
        """The service's candidate that is in use."""
        return dict(self.page.evaluate("path()"))

    def hang_up(self) -> None:
        self.page.evaluate("pc.close()")


@contextlib.contextmanager
def browsing(service: Service, microphone: Path, *, ipv6: bool = False) -> Iterator[Browser]:
    """Chromium, started in this thread's namespace, with a call that is connected."""
    url = service.url(ipv6=ipv6)
    # Microphones are for pages that came safely; the one that we put in the service's place did.
    with chromium(microphone, [f"--unsafely-treat-insecure-origin-as-secure={url}"]) as browser:
        page = browser.new_page()
        page.route(f"{url}/caller", lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
        page.goto(f"{url}/caller")
        page.evaluate("key => call(key)", KEY)
        yield Browser(page)
        page.evaluate("pc.close()")
