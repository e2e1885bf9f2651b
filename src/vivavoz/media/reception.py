"""What a receiver can say of a stream: how much was lost, and how its packets' times wander. Pure."""

from __future__ import annotations

from vivavoz.media.rtcp import ReportBlock


class Reception:
    """Of one stream after the other (RFC 3550 appendices A.3 and A.8). Sequence numbers are extended ones."""

    def __init__(self) -> None:
        self.jitter = 0.0
        """Interarrival jitter (s), RFC 3550 section 6.4.1."""
        self._transit: tuple[int, float] | None = None
        self._base = 0
        self._highest = -1
        self._received = 0
        self._lost_before = 0
        self._reported = (0, 0)

    @property
    def lost(self) -> int:
        """Packets that never came, over all streams."""
        return self._lost_before + max(0, self._cumulative_lost)

    def begin(self, sequence: int) -> None:
        """Another stream begins with this packet."""
        self._lost_before = self.lost
        self._transit = None
        self._base = sequence
        self._highest = sequence - 1
        self._received = 0
        self._reported = (0, 0)

    def arrived(self, now: float, sequence: int, timestamp: int, rate: int) -> None:
        """A packet of the stream, in any order; ``rate`` is the RTP clock's (Hz)."""
        self._received += 1
        self._highest = max(self._highest, sequence)
        if self._transit is not None:
            before, arrival = self._transit
            step = (timestamp - before + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            deviation = abs(now - arrival - step / rate)
            if deviation < 1:  # a pause of the sender or a jump of its clock is no jitter
                self.jitter += (deviation - self.jitter) / 16
        self._transit = (timestamp, now)

    @property
    def _cumulative_lost(self) -> int:
        return self._highest - self._base + 1 - self._received

    def report(self, ssrc: int, last_sr: int, delay_since_sr: float, rate: int) -> ReportBlock:
        """The report block since the last call. ``delay_since_sr`` in s."""
        expected = self._highest - self._base + 1
        before_expected, before_received = self._reported
        new = expected - before_expected
        missing = new - (self._received - before_received)
        self._reported = (expected, self._received)
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min(255, missing * 256 // new) if new > 0 and missing > 0 else 0,
            lost=self._cumulative_lost,
            highest=self._highest - 0x10000,
            jitter=int(self.jitter * rate) & 0xFFFFFFFF,
            last_sr=last_sr,
            delay_since_sr=min(0xFFFFFFFF, int(delay_since_sr * 65536)) if last_sr else 0,
        )
