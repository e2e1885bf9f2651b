"""The playout buffer: sound written ahead of time, taken in 20 ms frames, accounted by tag. Pure: it has no
clock; whoever calls :meth:`Playout.take` is the clock."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from vivavoz.media.ports import Played, PlayoutFull

RATE = 24000
FRAME_SAMPLES = 480
FRAME_BYTES = 2 * FRAME_SAMPLES
_FADE_SAMPLES = 240
_FADE = np.linspace(1.0, 0.0, _FADE_SAMPLES, endpoint=False, dtype=np.float32)
_COALESCE = 32768  # small writes are gathered into pieces of about this many bytes


class Frame(msgspec.Struct, frozen=True):
    """What is due now. ``pcm`` is 20 ms, padded with silence where the sound ran out, or None for silence."""

    pcm: bytes | None
    playing: tuple[str, ...] = ()
    """Tags whose first sample is in this frame."""
    played: tuple[Played, ...] = ()
    """Tags that are complete with this frame."""


class _Tag(msgspec.Struct):
    name: str
    sent: int = 0
    ended: bool = False


class _Piece(msgspec.Struct):
    tag: _Tag
    data: bytearray
    last: bool = False
    """No more sound under the tag after this piece."""


_SILENCE = Frame(None)


class Playout:
    """One call's queue. Samples are at 24 kHz."""

    def __init__(self, *, limit_ms: int = 120_000) -> None:
        self._limit = limit_ms * RATE // 1000
        self._pieces: deque[_Piece] = deque()
        self._tags: dict[str, _Tag] = {}
        self._offset = 0  # bytes of the first piece already taken
        self._samples = 0
        self._tail: bytes | None = None
        self._held = False
        self._cut = False  # a hold has faded out what is first in the queue

    @property
    def queued(self) -> int:
        """Samples written and not yet taken."""
        return self._samples

    @property
    def queued_ms(self) -> int:
        return self._samples * 1000 // RATE

    def write(self, pcm: bytes | bytearray | memoryview, tag: str) -> None:
        """Queue PCM16LE under ``tag``, behind all that is queued. Raises ``ValueError`` for half a sample or
        a tag that was ended, :class:`PlayoutFull` when it would be more than the limit (none is queued)."""
        if len(pcm) % 2:
            raise ValueError("PCM16 has an even number of bytes")
        samples = len(pcm) // 2
        if self._samples + samples > self._limit:
            raise PlayoutFull(self.queued_ms, self._limit * 1000 // RATE)
        state = self._tag(tag)
        if state.ended:
            raise ValueError("sound written under a tag that was ended")
        if not samples:
            return
        self._samples += samples
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.tag is state and len(last.data) + len(pcm) <= _COALESCE:
            last.data += pcm
        else:
            self._pieces.append(_Piece(state, bytearray(pcm)))

    def end(self, tag: str) -> None:
        """Nothing more comes under ``tag``. A frame will say it is complete, without any sound too."""
        state = self._tag(tag)
        if state.ended:
            return
        state.ended = True
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.tag is state:
            last.last = True
        else:
            self._pieces.append(_Piece(state, bytearray(), last=True))

    def take(self) -> Frame:
        """The next 20 ms; silence while held."""
        if not self._pieces or self._held:
            return self._fading() if self._tail is not None else _SILENCE
        pcm = bytearray(self._tail or b"")
        self._tail = None
        playing: list[str] = []
        played: list[Played] = []
        while self._pieces and len(pcm) < FRAME_BYTES:
            piece = self._pieces[0]
            chunk = memoryview(piece.data)[self._offset : self._offset + FRAME_BYTES - len(pcm)]
            if chunk:
                if not piece.tag.sent:
                    playing.append(piece.tag.name)
                pcm += chunk
                piece.tag.sent += len(chunk) // 2
                self._samples -= len(chunk) // 2
                self._offset += len(chunk)
            chunk.release()
            if self._offset < len(piece.data):
                break
            self._pieces.popleft()
            self._offset = 0
            if piece.last:
                del self._tags[piece.tag.name]
                played.append(Played(piece.tag.name, piece.tag.sent, True))
        if not pcm:
            return Frame(None, tuple(playing), tuple(played))
        pcm += bytes(FRAME_BYTES - len(pcm))
        if self._cut:
            self._cut = False
            begin = np.frombuffer(pcm, dtype="<i2", count=_FADE_SAMPLES)
            pcm[: 2 * _FADE_SAMPLES] = (begin * _FADE[::-1]).astype("<i2").tobytes()
        return Frame(bytes(pcm), tuple(playing), tuple(played))

    def hold(self) -> None:
        """Silence until :meth:`release`, after a fade of 10 ms that does not count as played: nothing that is
        queued is lost, and what is written meanwhile waits behind it. Idempotent."""
        if not self._held:
            self._held = True
            self._cut = self._fade_out()

    def release(self) -> None:
        """Go on with the very sample at which it was held, fading in over 10 ms. Idempotent."""
        self._held = False
        if self._cut and self._tail is not None:
            # No frame has gone since: nothing was cut.
            self._tail, self._cut = None, False

    def flush(self) -> list[Played]:
        """Drop all that is queued, fading out over 10 ms what sounds now (the fade does not count as played);
        say how much was played of every tag that is not complete, in the order they came. What was held stays
        so."""
        result = [Played(tag.name, tag.sent) for tag in self._tags.values()]
        if not self._held:
            self._fade_out()
        self._cut = False
        self._pieces.clear()
        self._tags.clear()
        self._offset = self._samples = 0
        return result

    def _fade_out(self) -> bool:
        """Let what sounds now end softly; whether anything does."""
        if not self._pieces or not self._pieces[0].tag.sent:
            return False
        left = bytes(self._pieces[0].data[self._offset : self._offset + 2 * _FADE_SAMPLES])
        if not left:
            return False
        samples = np.frombuffer(left, dtype="<i2")
        self._tail = (samples * _FADE[: len(samples)]).astype("<i2").tobytes()
        return True

    def _fading(self) -> Frame:
        tail, self._tail = self._tail or b"", None
        return Frame(tail + bytes(FRAME_BYTES - len(tail)))

    def _tag(self, name: str) -> _Tag:
        state = self._tags.get(name)
        if state is None:
            state = self._tags[name] = _Tag(name)
        return state
