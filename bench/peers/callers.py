"""The load: callers who sound all the time (packets encoded beforehand), send messages, look at the clock.

They are this process; the server is another one, on another core.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request

import msgspec

from bench import rig
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Loop, Pace, deviations_ms

MESSAGES_S = 10
"""Of each caller; as many come back."""
_PADDING = "." * 110
_JOIN_AT_ONCE = 4


class Window(msgspec.Struct):
    """What was seen in some seconds of a server under load."""

    calls: int
    cpu: float
    """Of the server, all its processes and threads (% of a core)."""
    cpu_call: float
    callers_cpu: float
    """Of this process (% of a core): what hides behind a busy caller cannot be told from a slow server."""
    pace_p50_ms: float
    pace_p99_ms: float
    heard: float
    """Sound decoded, of the sound sent (1.0: all)."""
    kbps: float
    """Sent by the server to each caller."""
    rtt_p50_ms: float
    rtt_p99_ms: float
    echoed: float
    """Messages that came back, of those sent (NaN without messages)."""


class Callers:
    """Callers of one server; more may join."""

    def __init__(self, server: rig.Server, packets: list[bytes]) -> None:
        self.peers: list[Peer] = []
        self.chatting = False
        self._ears: list[Pace] = []
        self._server = server
        self._packets = packets
        self._shared = Peers()
        self._sent: list[float] = []

    async def join(self, upto: int) -> None:
        """Raises what a caller meets who gets no connection."""
        while len(self.peers) < upto:
            new = []
            for _ in range(min(_JOIN_AT_ONCE, upto - len(self.peers))):
                ear = Pace()
                peer = Peer(self._shared, Loop(self._packets, at=17 * len(self.peers)), ear)
                self.peers.append(peer)
                self._ears.append(ear)
                new.append(peer)
            async with asyncio.TaskGroup() as group:
                for peer in new:
                    group.create_task(peer.connect(lambda offer: rig.post_offer(self._server.url, offer)))

    async def chat(self) -> None:
        """Send messages while ``chatting``, the callers one after the other; until cancelled."""
        turn = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + 1 / MESSAGES_S / max(1, len(self.peers)), loop.time() - 0.1)
            await asyncio.sleep(max(0.0, due - loop.time()))
            turn = (turn + 1) % max(1, len(self.peers))
            if self.chatting and self.peers and "channel" in self.peers[turn].reached:
                now = time.time()
                self._sent.append(now)
                self.peers[turn].send_text(
                    json.dumps({"type": "bench.ping", "sent": now, "padding": _PADDING})
                )

    async def watch(self, seconds: float) -> Window:
        began, cpu, mine, heard = (
            time.time(),
            rig.tree_cpu_s(self._server.pid),
            time.process_time(),
            self._heard(),
        )
        octets = sum(ear.octets for ear in self._ears)
        await asyncio.sleep(seconds)
        ended, took = time.time(), time.time() - began
        cpu = rig.tree_cpu_s(self._server.pid) - cpu
        heard = self._heard() - heard
        mine = time.process_time() - mine
        deviations = [each for ear in self._ears for each in deviations_ms(ear.arrivals, began, ended)]
        await asyncio.sleep(0.3)  # for what is still on its way
        sent = [each for each in self._sent if began <= each < ended]
        back = [
            (arrived - event["sent"]) * 1000
            for peer in self.peers
            for arrived, event in peer.events
            if event["type"] == "bench.ping" and began <= event["sent"] < ended
        ]
        calls = len(self.peers)
        return Window(
            calls=calls,
            cpu=cpu / took * 100,
            cpu_call=cpu / took * 100 / calls,
            callers_cpu=mine / took * 100,
            pace_p50_ms=rig.percentile(deviations, 50),
            pace_p99_ms=rig.percentile(deviations, 99),
            heard=heard / took / calls,
            kbps=(sum(ear.octets for ear in self._ears) - octets) * 8 / took / calls / 1000,
            rtt_p50_ms=rig.percentile(back, 50),
            rtt_p99_ms=rig.percentile(back, 99),
            echoed=len(back) / len(sent) if sent else float("nan"),
        )

    async def tidy(self) -> None:
        """Let the server's garbage collector run."""
        await rig.post(f"{self._server.url}/tidy")

    async def leave(self) -> None:
        for peer in self.peers:
            await peer.close()
        self.peers.clear()
        self._ears.clear()

    def _heard(self) -> float:
        with urllib.request.urlopen(f"{self._server.url}/stats", timeout=10) as answer:
            return float(json.load(answer)["heard"])
