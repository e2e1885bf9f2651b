"""A caller who speaks, types, hears and reads events: what measurements and tests have in common."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench import rig
from vivavoz.engines.scripted.voice import say
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice, trimmed

BACK_S = 60.0
"""How long an engine may take to be back, and a turn to work."""


def sentence(text: str) -> bytes:
    """Sound that every detector takes for speech and nobody understands; whole frames."""
    return trimmed(b"".join(say(f"{word} ", "echo", 1.0) for word in text.split()))


class Caller:
    """One call and what it hears."""

    def __init__(self, shared: Peers, url: str, key: str | None = None) -> None:
        self.voice, self.listener = Voice(), Listener()
        self.peer = Peer(shared, self.voice, self.listener)
        self._url, self._key = url, key

    async def connect(self) -> None:
        await self.peer.connect(lambda offer: rig.post_offer(self._url, offer, key=self._key))
        await self.update(audio={"input": {"transcription": {"model": "whisper-1"}}})

    async def update(self, **session: Any) -> None:
        """Change the session."""
        began = time.time()
        self.peer.send({"type": "session.update", "session": {"type": "realtime", **session}})
        await self.peer.wait_for("session.updated", after=began)

    def ask(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.peer.send({"type": "conversation.item.create", "item": item})
        self.peer.send({"type": "response.create"})

    async def quiet(self) -> None:
        """End what is going on."""
        self.peer.send({"type": "response.cancel"})
        self.peer.send({"type": "output_audio_buffer.clear"})
        await asyncio.sleep(0.3)

    async def next_turn_works(self) -> bool:
        began = time.time()
        self.ask("Say hello.")
        try:
            await self.listener.audible(after=began, timeout_s=BACK_S)
            _, done = await self.peer.wait_for("response.done", after=began, timeout_s=BACK_S)
        except TimeoutError:
            return False
        return bool(done["response"]["status"] == "completed")
