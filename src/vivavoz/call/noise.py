"""The caller's sound as the session is to hear it: with or without noise, as the session's options say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vivavoz.media.denoise import Denoiser, Field, open_denoiser
from vivavoz.wire.options import NoiseReduction

_AT_ONCE = 9_600
"""Bytes (200 ms, some 2 ms of work) cleaned in one go, so that a huge append leaves others their turn."""


class NoiseReducer:
    """One call's. The denoiser has learnt the noise of one caller, so it lives as long as it is wanted.

    The caller's samples keep their number, but the last of them, up to 10 ms, wait for those that follow.
    """

    def __init__(self, open: Callable[[Field], Denoiser] = open_denoiser) -> None:
        self._open = open
        self._field: Field | None = None
        self._denoiser: Denoiser | None = None

    async def hear(self, pcm: bytes, wanted: NoiseReduction | None) -> bytes:
        """``pcm`` (24 kHz) as it is to be heard. Half a sample stays as it is, for the session to refuse."""
        field = wanted.type if wanted is not None else None
        waiting = self._switch(field) if field != self._field else b""
        if self._denoiser is None:
            return waiting + pcm
        if len(pcm) % 2:
            return pcm
        pcm = waiting + pcm
        pieces = []
        for start in range(0, len(pcm), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            pieces.append(self._denoiser.process(pcm[start : start + _AT_ONCE]))
        return b"".join(pieces)

    def _switch(self, field: Field | None) -> bytes:
        """From now on ``field``; the sound that was still waiting."""
        waiting = self._denoiser.rest() if self._denoiser is not None else b""
        self._field = field
        self._denoiser = self._open(field) if field is not None else None
        return waiting
