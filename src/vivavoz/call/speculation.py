"""Answering a turn before it is sure to be over: the reply, and what a voice says of its beginning, are made
in secret, and handed to the jobs that ask for the same.

One answer a call at a time. The session says when to begin and when to give it up. It never hears what was
made but as the results of jobs that it has started itself: all that it tells its clients, counts and executes
is as if there were no such thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from vivavoz.call.held import Held, HeldReply, HeldSpeech, Keep
from vivavoz.call.options import reply_options, speech_options
from vivavoz.engines.ports import Engines, ReplyDelta, TextDelta
from vivavoz.session.effects import Reply, Synthesize, Task

When = Literal["auto", "always", "off"]
"""``auto``: with engines that are cheap to ask in vain. ``always``: with any, whatever it costs."""


class Speculation:
    """One call's."""

    def __init__(self, engines: Engines, group: asyncio.TaskGroup, when: When) -> None:
        self._engines = engines
        self._group = group
        self._when = when
        self._answer: _Answer | None = None

    def begin(self, reply: Reply, speech: Synthesize | None) -> bool:
        """Answer ``reply``, which nobody has asked for yet, in place of what was begun before. False: its
        engine is not to be asked in vain."""
        answer = self._answer
        if answer is not None and answer.job is None and (answer.reply, answer.speech) == (reply, speech):
            return True
        self.close()
        llm = self._attempt(self._engines.llm)
        if llm is None:
            return False
        self._answer = _Answer(self._group, reply, speech, llm, lambda: self._attempt(self._engines.tts))
        return True

    def discard(self) -> None:
        """What has not been asked for will not be."""
        if self._answer is not None and self._answer.job is None:
            self.close()

    def take(self, job: int, task: Task, owner: str) -> Held | None:
        """What there is of ``task``, which ``job`` is to do for ``owner`` (a response)."""
        answer = self._answer
        if answer is None:
            return None
        if isinstance(task, Reply) and answer.job is None and task == answer.reply:
            answer.job, answer.owner = job, owner
            return answer.held
        if isinstance(task, Synthesize) and answer.owner == owner and task == answer.speech:
            self._answer = None
            return answer.voice
        return None

    def cancelled(self, job: int) -> None:
        """Nor will its voice be asked for."""
        if self._answer is not None and self._answer.job == job:
            self.close()

    def close(self) -> None:
        """Nothing of it goes on."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    def _attempt(self, engine: Any) -> tuple[Any, Keep] | None:
        """``engine``, to be asked once, and how to say that it was not in vain."""
        make = getattr(engine, "tentative", None)
        attempt = make() if make is not None and self._when != "off" else None
        if attempt is not None:
            return attempt, attempt.keep
        return (engine, _kept) if self._when == "always" and engine is not None else None


class _Answer:
    """``job``, ``owner``: who has taken the reply. The voice is there from the first word on."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        reply: Reply,
        speech: Synthesize | None,
        llm: tuple[Any, Keep],
        tts: Callable[[], tuple[Any, Keep] | None],
    ) -> None:
        self.reply = reply
        self.speech = speech
        self.job: int | None = None
        self.owner: str | None = None
        self.voice: HeldSpeech | None = None
        self._group = group
        self._tts = tts
        model, keep = llm
        self.held = HeldReply(group, model.reply(reply.items, reply_options(reply)), keep, self._hear)

    def cancel(self) -> None:
        if self.job is None:
            self.held.cancel()
        if self.voice is not None:
            self.voice.cancel()

    def _hear(self, delta: ReplyDelta | None) -> None:
        if self.voice is None and self.job is None and isinstance(delta, TextDelta):
            self.voice = self._speak()
        if self.voice is not None:
            self.voice.hear(delta)

    def _speak(self) -> HeldSpeech | None:
        tts = self._tts() if self.speech is not None else None
        if tts is None or self.speech is None:
            return None
        (voice, keep), options = tts, speech_options(self.speech)
        return HeldSpeech(self._group, lambda text: voice.synthesize(text, options), keep)


async def _kept() -> bool:
    return True
