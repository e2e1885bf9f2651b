"""Our media path, as ``vivavoz serve`` runs it (uvloop), without the session on top of it."""

from __future__ import annotations

import asyncio
from collections import deque

import uvloop
from common import RATE, main, tone

from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.ports import MediaCall, Played, State

_JUDGED = 6
"""Pieces; what was waiting before each of so many is left out of the echo, so that no gap delays what follows
for good: a conversation's sound has no such queue."""


class Ours:
    def __init__(self, echo: bool) -> None:
        self.heard = 0.0
        self._echo = echo
        self._engine = LeanEngine(MediaConfig(max_calls=1000))
        self._calls: set[Call] = set()
        self._second = tone(1.0)
        self._playing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._engine.start()
        if not self._echo:
            self._playing = asyncio.create_task(self._play())

    async def answer(self, offer: str) -> str:
        owner = Call(self, self._echo)
        text, owner.media = self._engine.accept(offer, owner)
        self._calls.add(owner)
        if not self._echo:
            owner.media.write(self._second * 2, "tone")
        return text

    def ended(self, call: Call) -> None:
        self._calls.discard(call)

    async def _play(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            for call in self._calls:
                if call.media.queued_ms < 3000:
                    call.media.write(self._second, "tone")


class Call:
    """What hears one call."""

    media: MediaCall

    def __init__(self, server: Ours, echo: bool) -> None:
        self._server = server
        self._echo = echo
        self._waiting: deque[int] = deque(maxlen=_JUDGED)
        self._excess = 0

    def on_audio(self, pcm: bytes) -> None:
        self._server.heard += len(pcm) / 2 / RATE
        if not self._echo:
            return
        self._waiting.append(self.media.queued_ms)
        if len(self._waiting) == _JUDGED:
            self._excess = max(self._excess, min(self._waiting) // 20)
        if self._excess:
            self._excess -= 1
            self._waiting.clear()
        else:
            self.media.write(pcm, "echo")

    def on_event(self, text: str | bytes) -> None:
        self.media.send_event(text if isinstance(text, str) else text.decode())

    def on_state(self, state: State, reason: str) -> None:
        if state == "closed":
            self._server.ended(self)

    def on_playing(self, tag: str) -> None: ...

    def on_played(self, played: Played) -> None: ...


if __name__ == "__main__":
    main(Ours, loop=uvloop.new_event_loop)
