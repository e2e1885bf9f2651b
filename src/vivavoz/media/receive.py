"""The receiving half of a stream, as a pure function of packets and time: RTP packets in any order and number
go in, gapless 24 kHz sound comes out. No clock and no socket here: ``now`` is an argument (s, any origin).

There is no playout buffer, since nobody listens in real time: a packet in order is decoded as it arrives.
Only a gap makes its successors wait for what may be reordered: as long as packets on this path have lately
come out of order, 60 ms at most; then it is concealed.

Time has one rule: what was emitted follows the clock. It may fall behind by ``patience`` (then packets
have stopped: a short concealment and silence fill up to the clock) and run ahead by ``max_ahead`` (then
packets are dropped). While packets flow the clock is pulled towards the sender's by at most 0.5 %,
which covers any crystal, so that drift never cuts or pads speech.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from vivavoz.media.ports import Drop
from vivavoz.media.reception import Reception
from vivavoz.media.rtcp import ReportBlock
from vivavoz.media.rtp import RtpPacket

RATE = 24000
_SILENT_FRAME = bytes(960)
_DRIFT = 0.005
_MAX_HELD = 64
_MAX_DROPOUT = 150  # packets: a larger jump ahead is another stream, not a loss
_MAX_MISORDER = 100  # packets: one further behind is another stream, not late (RFC 3550 A.1)
_SHORTEST_WAIT = 0.015  # s, on a path that keeps the order: over when the second packet after a gap comes
_MARGIN = 0.01  # s, on top of the reordering seen
_FORGETS = 0.9986  # of it, with every packet: half in 10 s
_SHORT_GAP = 3  # frames that are always concealed, even where the clock does not miss them
_MAX_FILL = 1.0  # s; a longer stall of this process is skipped, not filled


class Decoder(Protocol):
    """A codec's receiving side; PCM16LE mono at 24 kHz out. ``decode`` raises ``ValueError`` for bad data."""

    def decode(self, packet: bytes) -> bytes: ...
    def conceal(self, samples: int) -> bytes: ...
    def recover(self, following: bytes, samples: int) -> bytes: ...
    def carries_past(self, packet: bytes) -> bool:
        """Whether the packet holds the frame before it too, so that ``recover`` is more than concealment."""
        ...

    def reset(self) -> None: ...


class Codec(Protocol):
    """What the receiver must know of one payload type."""

    @property
    def clock_rate(self) -> int: ...
    @property
    def decoder(self) -> Decoder: ...


class Receiver:
    """One incoming stream. ``packet`` and ``tick`` return the sound that is due, possibly empty; call
    ``tick`` every 20 ms or so."""

    def __init__(
        self,
        codecs: Mapping[int, Codec],
        *,
        hold: float = 0.06,
        patience: float = 0.1,
        max_ahead: float = 1.0,
    ) -> None:
        self.packets = 0
        self.dropped: Counter[Drop] = Counter()
        self.concealed = 0
        """Frames made up for lost packets."""
        self.recovered = 0
        """Of those: from in-band FEC."""
        self.ssrc: int | None = None
        self._codecs = codecs
        self._hold = hold
        self._wait = min(_SHORTEST_WAIT, hold)  # of the path's reordering nothing is known yet
        self._patience = int(patience * RATE)
        self._max_ahead = int(max_ahead * RATE)
        self._origin: float | None = None
        self._emitted = 0
        self._dry = True
        self._frame = 480
        self._decoder: Decoder | None = None
        self._expected = 0
        self._held: dict[int, tuple[float, RtpPacket]] = {}
        self._given_up = (0, 0, 0.0)  # the last gap: from, to, since
        self._probation: tuple[int, int] | None = None
        self._reception = Reception()

    @property
    def discarded(self) -> int:
        return self.dropped.total()

    @property
    def lost(self) -> int:
        """Packets that never came, over all streams."""
        return self._reception.lost

    @property
    def jitter(self) -> float:
        """Interarrival jitter (s)."""
        return self._reception.jitter

    # ------------------------------------------------------------------ packets

    def packet(self, now: float, packet: RtpPacket) -> bytes:
        """A packet has arrived."""
        if self._origin is None:
            self._origin = now
        codec = self._codecs.get(packet.payload_type)
        if codec is None or not packet.payload:
            self.dropped["format" if codec is None else "payload"] += 1
            return b""
        delta = self._place(now, packet)
        if delta is None:
            self.dropped["stray"] += 1
            return b""
        self.packets += 1
        at = self._expected + delta
        self._reception.arrived(now, at, packet.timestamp, codec.clock_rate)
        if delta < 0 or at in self._held:
            if self._given_up[0] <= at < self._given_up[1]:
                self._reordered(now - self._given_up[2])
            self.dropped["late" if delta < 0 else "repeated"] += 1
            return b""
        overtook = [arrival for other, (arrival, _) in self._held.items() if other > at]
        if overtook:
            self._reordered(now - min(overtook))
        if delta:
            self._held[at] = (now, packet)
            return self._release(now)
        return self._play(now, packet) + self._drain(now)

    def _place(self, now: float, packet: RtpPacket) -> int | None:
        """How far the packet is from the expected one; None while it may be a stray."""
        delta = (packet.sequence - self._expected + 0x8000 & 0xFFFF) - 0x8000
        if packet.ssrc == self.ssrc and -_MAX_MISORDER <= delta <= _MAX_DROPOUT:
            self._probation = None
            return delta
        follows = (packet.ssrc, packet.sequence)
        if self.ssrc is not None and self._probation != follows:
            # Two in a row make a stream (RFC 3550 A.1); one alone is noise.
            self._probation = (packet.ssrc, packet.sequence + 1 & 0xFFFF)
            return None
        self._adopt(now, packet)
        return 0

    def _adopt(self, now: float, packet: RtpPacket) -> None:
        """Another stream begins with this packet."""
        self.dropped["stray"] += len(self._held)
        self._held.clear()
        for codec in self._codecs.values():
            codec.decoder.reset()
        if not self._emitted and self._behind(now) < self._patience:
            self._origin = now - self._frame / RATE  # the clock starts with the sound
        self.ssrc = packet.ssrc
        self._probation = None
        self._expected = packet.sequence + 0x10000
        self._reception.begin(self._expected)
        self._given_up = (0, 0, 0.0)

    def _reordered(self, late: float) -> None:
        """A packet came so much later than one that was sent after it."""
        self._wait = max(self._wait, min(self._hold, late + _MARGIN))

    # ------------------------------------------------------------------ order

    def _drain(self, now: float) -> bytes:
        """What was held and is now in order."""
        out = b""
        while held := self._held.pop(self._expected, None):
            out += self._play(now, held[1])
        return out

    def _release(self, now: float) -> bytes:
        """Give up on gaps whose successors have waited long enough."""
        out = b""
        while self._held:
            # Of all that is held: what came first need not be what was sent first.
            since = min(arrival for arrival, _ in self._held.values())
            if now - since < self._wait and len(self._held) <= _MAX_HELD:
                break
            first = min(self._held)
            _, packet = self._held.pop(first)
            self._given_up = (self._expected, first, since)
            out += self._bridge(now, first - self._expected, packet)
            self._expected = first
            out += self._play(now, packet)
            out += self._drain(now)
        return out

    def _bridge(self, now: float, missing: int, following: RtpPacket) -> bytes:
        """Conceal ``missing`` packets, as far as the clock has not already filled their time."""
        due = self._behind(now) - (len(self._held) + 1) * self._frame
        frames = min(missing, max(_SHORT_GAP, due // self._frame))
        decoder = self._codecs[following.payload_type].decoder
        out = b""
        for left in range(frames, 0, -1):
            if self._behind(now) < self._frame - self._max_ahead:
                break
            recoverable = left == 1 and decoder is self._decoder
            made = self._conceal(self._frame, following.payload if recoverable else None)
            self.concealed += 1
            self.recovered += recoverable and decoder.carries_past(following.payload)
            self._emitted += len(made) // 2
            out += made
        return out

    def _conceal(self, samples: int, following: bytes | None = None) -> bytes:
        if self._decoder is not None:
            try:
                if following is not None:
                    return self._decoder.recover(following, samples)
                return self._decoder.conceal(samples)
            except ValueError:  # a length that this codec has no frame for, or a broken successor
                pass
        return bytes(2 * samples)

    def _play(self, now: float, packet: RtpPacket) -> bytes:
        self._expected += 1
        self._wait = max(min(_SHORTEST_WAIT, self._hold), self._wait * _FORGETS)
        if self._behind(now) < self._frame - self._max_ahead:
            self.dropped["ahead"] += 1
            return b""
        decoder = self._codecs[packet.payload_type].decoder
        try:
            pcm = decoder.decode(packet.payload)
        except ValueError:
            self.dropped["payload"] += 1
            return b""
        self._decoder, self._dry = decoder, False
        samples = len(pcm) // 2
        if samples:
            self._frame = samples
        self._emitted += samples
        self._follow(now, samples)
        return pcm

    # ------------------------------------------------------------------ time

    def _behind(self, now: float) -> int:
        """How many samples the clock is ahead of what was emitted; negative when it is behind."""
        assert self._origin is not None
        return int((now - self._origin) * RATE) - self._emitted

    def _follow(self, now: float, samples: int) -> None:
        """Pull the clock a little towards the sender's."""
        assert self._origin is not None
        limit = samples * _DRIFT
        self._origin += max(-limit, min(limit, self._behind(now))) / RATE

    def tick(self, now: float) -> bytes:
        """Time passes."""
        if self._origin is None:
            self._origin = now
        out = self._release(now)
        behind = self._behind(now)
        # What is held may still bring this time's sound.
        waiting = int(self._wait * RATE) if self._held else 0
        if behind < self._patience + waiting:
            return out
        if behind > _MAX_FILL * RATE:
            self._origin += behind / RATE - _MAX_FILL
            behind = int(_MAX_FILL * RATE)
        frames = behind // 480
        made = b""
        if not self._dry and self._decoder is not None:
            # The word that was cut off fades out instead of clicking.
            made = self._conceal(480) + self._conceal(480)
            self.concealed += 2
        self._dry = True
        made += _SILENT_FRAME * max(0, frames - len(made) // 960)
        self._emitted += len(made) // 2
        return out + made

    # ------------------------------------------------------------------ reports

    def report(self, last_sr: int, delay_since_sr: float, clock_rate: int) -> ReportBlock | None:
        """The receiver report block since the last call; None before the first packet."""
        if self.ssrc is None:
            return None
        return self._reception.report(self.ssrc, last_sr, delay_since_sr, clock_rate)
