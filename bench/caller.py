"""A caller who speaks, types, hears and reads events: what measurements and tests have in common."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench import rig
from vivavoz.engines.scripted.voice import say
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice, trimmed

BACK_S = 120.0
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

    def ask(self, text: str, **response: Any) -> None:
        """``response``: what is special about the answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.peer.send({"type": "conversation.item.create", "item": item})
        self.peer.send({"type": "response.create", "response": response})

    async def begun(self, after: float, timeout_s: float = 30.0) -> str:
        """The response that began after a moment. Raises TimeoutError."""
        _, created = await self.peer.wait_for("response.created", after=after, timeout_s=timeout_s)
        return str(created["response"]["id"])

    async def done(self, response_id: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """How a response ended. Raises TimeoutError."""
        after = 0.0
        async with asyncio.timeout(timeout_s):
            while True:
                for _, event in self.peer.events:
                    if event["type"] == "response.done" and event["response"]["id"] == response_id:
                        return dict(event["response"])
                after, _ = await self.peer.wait_for("response.done", after=after, timeout_s=timeout_s)

    def in_the_making(self) -> list[str]:
        """The responses that have begun and not ended."""
        told = [
            (event["type"], event["response"]["id"]) for _, event in self.peer.events if "response" in event
        ]
        over = {response_id for kind, response_id in told if kind == "response.done"}
        return [
            response_id
            for kind, response_id in told
            if kind == "response.created" and response_id not in over
        ]

    async def quiet(self) -> None:
        """End what is going on."""
        self.peer.send({"type": "response.cancel"})
        self.peer.send({"type": "output_audio_buffer.clear"})
        # Its answer comes behind everything that those two bring about.
        await self.update()
        for response_id in self.in_the_making():
            await self.done(response_id, BACK_S)

    async def next_turn_works(self) -> bool:
        """Whether a question is answered aloud; a model may talk to its limit, which is near."""
        began = time.time()
        self.ask("Say hello.", max_output_tokens=32)
        try:
            await self.listener.audible(after=began, timeout_s=BACK_S)
            done = await self.done(await self.begun(began, BACK_S), BACK_S)
        except TimeoutError:
            return False
        return done["status"] in ("completed", "incomplete")
