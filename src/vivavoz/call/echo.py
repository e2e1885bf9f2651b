"""Telling our own voice, as it comes back through the caller's microphone, from a caller who speaks.

With loudspeakers and a poor echo canceller the microphone carries what we are saying, a voice detector takes
it for speech, and we would interrupt ourselves. What was sent is known to the sample. While it may still be
sounding, the microphone's newest sound is explained by it as far as a short linear filter can: the delay is
found by generalised cross-correlation (Knapp and Carter 1976), the filter by least squares. What is left over
is the caller, once it is loud enough beside the echo.

Pure: samples and times are arguments. Sound is mono s16le at 24 kHz; compared are its lower 4 kHz.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vivavoz.engines.ports import SAMPLE_RATE

Samples = NDArray[np.floating[Any]]

RATE = 8_000
_FACTOR = SAMPLE_RATE // RATE
_BYTES_PER_S = 2 * SAMPLE_RATE

LONGEST_DELAY = 0.5
"""From a packet's leaving to its echo's arrival (s): network, jitter buffer, loudspeaker and back."""
EARLIEST = 0.03
"""As much earlier may an echo seem to come, by how unevenly sound arrives (s)."""
FIT = 0.16
"""The sound that a filter is fitted to (s)."""
JUDGED = 0.04
"""The newest part of it, which is judged (s)."""
TAPS = 40
"""Of the filter, at 8 kHz; the strongest reflection first comes after ``_BEFORE`` of them."""
_BEFORE = 8
MEMORY = 0.9
"""What is left of the echo's remembered loudness (power) after 20 ms."""
LOUDER = 0.6
"""The unexplained is a caller from this share of the echo's power on."""
ASKED_FROM = 0.1
"""Less probable speech is not looked at."""
HOLD = 0.06
"""While it is not known whether there is an echo, so much of what seems to be speech waits for more (s): the
first sounds of a word tell too little of where they come from."""
KNOWN_AFTER = 1.0
"""Our voice has sounded for so long (s), and no echo was found: there is none."""
_LIKELY = 0.5
"""A delay is one where a filter explains so much."""
_QUIET = 1e-7
"""Mean square (full scale 1) below which nothing is compared: -70 dBFS."""
_REGULAR = 1e-3
SEARCH_EVERY = 0.06
"""Where no echo is expected: a search costs more than all the rest (s)."""
_CONFIDENT = 0.8
"""A filter that explains so much is at the right delay: no need to search."""

_FIT = round(FIT * RATE)
_JUDGED = round(JUDGED * RATE)
_SEARCH = round((LONGEST_DELAY + EARLIEST) * RATE)
_SPARE = RATE // 4
_FFT = 5_760
"""Not below ``_FIT + _SEARCH + TAPS``; a product of small primes."""

_EARLIER = np.minimum.outer(np.arange(TAPS), np.arange(TAPS))
_LAG = np.abs(np.subtract.outer(np.arange(TAPS), np.arange(TAPS)))


def _low_pass() -> Samples:
    at = np.arange(-12, 13)
    taps = np.sinc(at * 0.3) * np.hamming(len(at))
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_PASS = _low_pass()


class _Track:
    """The newest ``keep`` samples of one direction at 8 kHz, with high frequencies raised, on a clock of its
    own: they are contiguous, and only a gap of more than ``slack`` (s) moves them."""

    def __init__(self, keep: int, slack: float) -> None:
        self._keep = keep
        self._slack = slack
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._waits = 0
        self._kept: Samples = np.zeros(2 * self._keep, np.float32)
        self._fill = self._keep
        self._history: Samples = np.zeros(len(_LOW_PASS), np.float32)
        self.end = 0
        """When the last sample was over, in samples of the common clock."""

    def append(self, pcm: bytes, now: float) -> None:
        """Sound that was over at ``now``. It is only looked at when it is asked for."""
        most = self._keep * _FACTOR * 2
        pcm = pcm[-most:]
        self._waiting.append((pcm, now - len(pcm) / _BYTES_PER_S))
        self._waits += len(pcm)
        while self._waits > most:
            self._waits -= len(self._waiting.popleft()[0])

    def catch_up(self) -> None:
        """Take what waits, in as few pieces as there are gaps."""
        run, since, until = bytearray(), 0.0, 0.0
        for pcm, began in self._waiting:
            if run and abs(began - until) > self._slack:
                self._take(run, since)
                run.clear()
            if not run:
                since = until = began
            run += pcm
            until += len(pcm) / _BYTES_PER_S
        if run:
            self._take(run, since)
        self._waiting.clear()
        self._waits = 0

    def _take(self, pcm: bytearray, began: float) -> None:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32_768
        joined = np.concatenate((self._history, samples))
        count = (len(joined) - len(_LOW_PASS)) // _FACTOR
        self._history = joined[count * _FACTOR :]
        if count <= 0:
            return
        low = np.convolve(joined[: count * _FACTOR + len(_LOW_PASS)], _LOW_PASS, "valid")
        gap = round(began * RATE) - self.end
        if abs(gap) > self._slack * RATE:
            self._push(np.zeros(min(max(gap, 0), self._keep), np.float32))
            self.end += gap
        self._push(np.diff(low[::_FACTOR]))
        self.end += count

    def _push(self, samples: Samples) -> None:
        samples = samples[-self._keep :]
        if self._fill + len(samples) > len(self._kept):
            self._kept[: self._keep] = self._kept[self._fill - self._keep : self._fill]
            self._fill = self._keep
        self._kept[self._fill : self._fill + len(samples)] = samples
        self._fill += len(samples)

    def slice(self, start: int, count: int) -> Samples:
        """From sample ``start`` of the clock; what is not known is silence."""
        out = np.zeros(count, np.float32)
        first = self._fill - (self.end - start)
        low, high = max(first, self._fill - self._keep), min(first + count, self._fill)
        if low < high:
            out[low - first : high - first] = self._kept[low:high]
        return out


class EchoGuard:
    """One call's. Costs nothing while our voice does not sound, and little unless somebody seems to speak."""

    def __init__(self) -> None:
        self._far = _Track(_SEARCH + _FIT + _SPARE, 0.03)
        self._near = _Track(_FIT + _SPARE, 0.08)
        self._until = -math.inf
        self._delay: int | None = None
        self._loudness = 0.0
        self._judged_at = self._searched_at = -RATE
        self._sounded = 0.0
        self._began = self._seemed_at = -RATE

    def played(self, pcm: bytes, now: float) -> None:
        """This left for the caller's loudspeaker (s, any monotonic clock)."""
        self._far.append(pcm, now)
        self._until = now + LONGEST_DELAY + FIT
        self._sounded += len(pcm) / _BYTES_PER_S

    def heard(self, pcm: bytes, now: float) -> None:
        """This came from the caller's microphone."""
        if now <= self._until:
            self._near.append(pcm, now)

    def judge(self, probability: float, now: float, behind: int = 0) -> float:
        """The probability of speech of a frame that ended ``behind`` samples (24 kHz) before the end of what
        was heard: 0.0 where it is our own voice."""
        if now > self._until or probability < ASKED_FROM:
            return probability
        self._near.catch_up()
        self._far.catch_up()
        end = self._near.end - behind // _FACTOR
        near = self._near.slice(end - _FIT, _FIT)
        if float(near @ near) < _QUIET * _FIT:
            return probability
        echo, rest = self._explain(near, end)
        frames = min(max(end - self._judged_at, 0) / (RATE / 50), 100.0)
        self._loudness = max(echo, self._loudness * MEMORY**frames)
        self._judged_at = end
        ours = rest < LOUDER * self._loudness or self._unsure(end)
        return 0.0 if ours else probability

    def _unsure(self, end: int) -> bool:
        """Whether to wait for more of what has just begun."""
        if end - self._seemed_at > 2 * HOLD * RATE:
            self._began = end
        self._seemed_at = end
        known = self._delay is not None or self._sounded >= KNOWN_AFTER + LONGEST_DELAY
        return not known and end - self._began < HOLD * RATE

    def _explain(self, near: Samples, end: int) -> tuple[float, float]:
        """Mean square of what is echo in the newest part, and of what is not."""
        best, most = (0.0, float(near[-_JUDGED:] @ near[-_JUDGED:]) / _JUDGED), 0.0
        if self._delay is not None:
            most, echo, rest = self._fit(near, end, self._delay)
            best = echo, rest
            if most >= _CONFIDENT:
                return best
        elif self._sounded >= KNOWN_AFTER + LONGEST_DELAY and end - self._searched_at < SEARCH_EVERY * RATE:
            return best
        self._searched_at = end
        delay = self._search(near, end)
        if delay is not None and delay != self._delay:
            whole, echo, rest = self._fit(near, end, delay)
            if whole > max(most, _LIKELY):
                self._delay, best = delay, (echo, rest)
        return best

    def _search(self, near: Samples, end: int) -> int | None:
        """The delay (8 kHz samples) at which our voice is most like the microphone's sound."""
        far = self._far.slice(end - _FIT - round(LONGEST_DELAY * RATE), _FIT + _SEARCH)
        if float(far @ far) < _QUIET * _FIT:
            return None
        cross = np.fft.rfft(far, _FFT) * np.conj(np.fft.rfft(near, _FFT))
        size = np.abs(cross)
        cross /= size**0.7 + 1e-3 * float(size.max()) ** 0.7
        found = np.abs(np.fft.irfft(cross, _FFT)[:_SEARCH])
        return round(LONGEST_DELAY * RATE) - int(np.argmax(found))

    def _fit(self, near: Samples, end: int, delay: int) -> tuple[float, float, float]:
        """How much of the whole (0 to 1) our voice at ``delay`` explains; see :meth:`_explain`."""
        far = self._far.slice(end - _FIT - delay - TAPS + _BEFORE + 1, _FIT + TAPS - 1)
        gram = _gram(far)
        gram[np.diag_indices(TAPS)] += _REGULAR * float(np.trace(gram)) / TAPS + 1e-9
        taps = np.linalg.solve(gram, np.correlate(far, near, "valid"))
        explained = np.convolve(far, taps[::-1], "valid")
        rest = near - explained
        whole = 1.0 - float(rest @ rest) / float(near @ near)
        echo, left = explained[-_JUDGED:], rest[-_JUDGED:]
        return whole, float(echo @ echo) / _JUDGED, float(left @ left) / _JUDGED


def _gram(far: Samples) -> Samples:
    """Inner products of the ``TAPS`` delayed versions of ``far`` with each other (the covariance method): the
    first row, and from row to row what enters and what leaves."""
    size = len(far) - TAPS + 1
    gone = np.append(far[:TAPS], np.zeros(TAPS, np.float32))
    come = np.append(far[size:], np.zeros(TAPS + 1, np.float32))
    by_lag = np.empty((TAPS, TAPS))
    by_lag[0] = np.correlate(far, far[:size], "valid")
    windows = np.lib.stride_tricks.sliding_window_view
    change = come[: TAPS - 1, None] * windows(come, TAPS)[: TAPS - 1]
    change -= gone[: TAPS - 1, None] * windows(gone, TAPS)[: TAPS - 1]
    np.cumsum(change, axis=0, out=by_lag[1:])
    by_lag[1:] += by_lag[0]
    return by_lag[_EARLIER, _LAG]
