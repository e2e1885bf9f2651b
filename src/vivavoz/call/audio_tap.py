"""Both voices of a call, for observers who want to hear it. Made when the first one does.

*caller*: what the session is given to hear, decoded, before noise is taken out of it: what was taken out
cannot be put back. *assistant*: what the caller was played. Over WebRTC that is what left the machine, sample
by sample; a WebSocket client plays for itself (see :class:`~vivavoz.call.timeline.ClientPlayout`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vivavoz.call.timeline import RATE, ClientPlayout, Timeline
from vivavoz.wire.extensions import Track

BATCH_S = 0.2
_MAX_BYTES = RATE * 2
"""A frame holds at most a second."""
_CALLER_SLACK = RATE
"""A stream over TCP may stall for this long (samples) without having paused."""
_ASSISTANT_SLACK = RATE // 10
_WAITING = 300 * RATE
"""What a WebSocket client may have to play, at most (samples; 14 MB)."""

Heard = Callable[[Track, int, bytes], None]
"""``(track, position, pcm)``"""
Lost = Callable[[Track, int, int], None]
"""``(track, position, samples)``"""


class AudioTap:
    """Told of sound as it comes; hands it on in batches of some 200 ms."""

    def __init__(self, began: float, clock: Callable[[], float], heard: Heard, lost: Lost) -> None:
        """``began``: the call's start, on ``clock`` (s)."""
        self._began = began
        self._clock = clock
        self._heard = heard
        self._batches: dict[Track, _Batch] = {"caller": _Batch(), "assistant": _Batch()}
        self._caller = Timeline(_CALLER_SLACK)
        self._assistant = Timeline(_ASSISTANT_SLACK)
        self._playout = ClientPlayout(
            _WAITING, lambda position, samples: lost("assistant", position, samples)
        )
        self._timer: asyncio.TimerHandle | None = None

    def caller(self, pcm: bytes) -> None:
        """It was spoken until now."""
        samples = len(pcm) // 2
        self._add("caller", self._caller.place(self._now() - samples, samples), pcm[: 2 * samples])

    def assistant(self, pcm: bytes) -> None:
        """It is heard from now on."""
        self._add("assistant", self._assistant.place(self._now(), len(pcm) // 2), pcm)

    def sent(self, item_id: str, pcm: bytes) -> None:
        """It was sent to a client that plays it."""
        self._playout.add(self._now(), item_id, pcm)
        self._arm()

    def truncated(self, item_id: str, end_ms: int) -> None:
        self._release()
        self._playout.truncate(item_id, end_ms * RATE // 1000)

    def close(self) -> None:
        """Hand on what is here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._release()
        self._flush()

    def _now(self) -> int:
        return int((self._clock() - self._began) * RATE)

    def _add(self, track: Track, position: int, pcm: bytes) -> None:
        batch = self._batches[track]
        if batch.pcm and (batch.end != position or len(batch.pcm) + len(pcm) > _MAX_BYTES):
            self._hand_on(track, batch)
        if not batch.pcm:
            batch.position = position
        batch.pcm += pcm
        self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._due)

    def _due(self) -> None:
        self._timer = None
        self._release()
        self._flush()
        if self._playout.waiting:
            self._arm()

    def _release(self) -> None:
        for position, pcm in self._playout.due(self._now()):
            self._add("assistant", position, pcm)

    def _flush(self) -> None:
        for track, batch in self._batches.items():
            self._hand_on(track, batch)

    def _hand_on(self, track: Track, batch: _Batch) -> None:
        for start in range(0, len(batch.pcm), _MAX_BYTES):
            piece = bytes(batch.pcm[start : start + _MAX_BYTES])
            self._heard(track, batch.position + start // 2, piece)
        batch.pcm.clear()


class _Batch:
    def __init__(self) -> None:
        self.position = 0
        self.pcm = bytearray()

    @property
    def end(self) -> int:
        return self.position + len(self.pcm) // 2
