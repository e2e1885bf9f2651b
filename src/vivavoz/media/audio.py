"""The sound of one call, both ways, between RTP packets and PCM: playout, receiver, reports."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable

from vivavoz.media import codecs, rtcp, rtp
from vivavoz.media.config import MediaConfig
from vivavoz.media.playout import Frame, Playout
from vivavoz.media.ports import CallStats
from vivavoz.media.receive import Receiver
from vivavoz.media.sdp import Codec
from vivavoz.media.srtp import Srtp

CNAME = "realtimeapi"
_HANGOVER = 10  # silent frames still sent before packets stop, where silence is not sent


class AudioStream:
    """RTP and RTCP of one call. It is inert until :meth:`start` gives it keys."""

    def __init__(
        self,
        config: MediaConfig,
        agreed: list[Codec],
        *,
        ssrc: int,
        sends: bool,
        transmit: Callable[[bytes], None],
    ) -> None:
        codec = codecs.preferred(agreed)
        self.playout = Playout(limit_ms=config.playout_ms)
        self.receiver = Receiver(
            codecs.receiving(agreed),
            hold=config.hold,
            patience=config.patience,
            max_ahead=config.max_ahead,
        )
        self._codec = codecs.sending(
            codec,
            application=config.opus_application,
            bitrate=config.opus_bitrate,
            complexity=config.opus_complexity,
        )
        self._clock_rate, self._step = codec.rate, codec.rate // 50
        self._stream = rtp.RtpStream(
            ssrc=ssrc,
            payload_type=codec.payload_type,
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(32),
            step=self._step,
        )
        self._sends = sends
        self._send_silence = config.send_silence and not codecs.silence_suppressed(codec)
        self._transmit = transmit
        self._srtp: Srtp | None = None
        self._silent = 0
        self._interval = config.report_interval
        self._report_at = 0.0
        self._last_sr = (0, 0.0)
        self._rtt: float | None = None
        self._early = self._headers_broken = 0

    def start(self, srtp: Srtp, now: float) -> None:
        """The keys are there: packets may go."""
        self._srtp = srtp
        self._report_at = now + self._interval / 2

    def received(self, datagram: bytes, now: float, *, listening: bool) -> tuple[bytes, bool]:
        """An SRTP or SRTCP packet -> (sound that is due, whether the packet was authentic)."""
        if self._srtp is None:
            self._early += 1
            return b"", False
        if rtp.is_rtcp(datagram):
            return b"", self._reports(self._srtp.unprotect_rtcp(datagram), now)
        plain = self._srtp.unprotect(datagram)
        packet = rtp.parse(plain) if plain is not None else None
        if packet is None:
            self._headers_broken += plain is not None
            return b"", plain is not None
        if not listening:
            self._early += 1
            return b"", True
        return self.receiver.packet(now, packet), True

    def send(self, skipped: int) -> Frame:
        """20 ms go out: what is due of the playout, or silence."""
        stream, srtp = self._stream, self._srtp
        frame = self.playout.take()
        if srtp is None or not self._sends:
            return frame
        stream.skip(skipped)
        self._silent = self._silent + 1 if frame.pcm is None else 0
        if self._send_silence or self._silent <= _HANGOVER:
            self._transmit(srtp.protect(stream.packet(self._codec.encode(frame.pcm))))
        else:
            stream.skip()
        return frame

    def report(self, now: float) -> None:
        """Send the RTCP that is due."""
        if self._srtp is None or now < self._report_at:
            return
        self._report_at = now + self._interval * random.uniform(0.75, 1.25)
        self._transmit(self._srtp.protect_rtcp(self._compound(now)))

    def bye(self, now: float) -> None:
        if self._srtp is not None:
            self._transmit(self._srtp.protect_rtcp(self._compound(now) + rtcp.bye(self._stream.ssrc)))

    def _compound(self, now: float) -> bytes:
        last_sr, heard = self._last_sr
        block = self.receiver.report(last_sr, now - heard, self._clock_rate)
        blocks = [block] if block is not None else []
        stream = self._stream
        if stream.packets:
            # The frame that has just left, at this time; the stream's timestamp is already the next one's.
            timestamp = stream.timestamp - self._step & 0xFFFFFFFF
            report = rtcp.sender_report(
                stream.ssrc, rtcp.ntp(time.time()), timestamp, stream.packets, stream.octets, blocks
            )
        else:
            report = rtcp.receiver_report(stream.ssrc, blocks)
        return report + rtcp.cname(stream.ssrc, CNAME)

    def _reports(self, plain: bytes | None, now: float) -> bool:
        reports = rtcp.parse(plain) if plain is not None else None
        if reports is None:
            self._headers_broken += plain is not None
            return plain is not None
        if self.receiver.ssrc in reports.senders:
            self._last_sr = (reports.senders[self.receiver.ssrc], now)
        for block in reports.blocks:
            if block.ssrc == self._stream.ssrc:
                self._codec.reported(block.fraction_lost)
                self._rtt = rtcp.round_trip(rtcp.ntp(time.time()), block) or self._rtt
        return True

    def stats(self, buffered: int) -> CallStats:
        receiver = self.receiver
        dropped = receiver.dropped + (self._srtp.dropped if self._srtp is not None else Counter())
        dropped.update(early=self._early, header=self._headers_broken)
        return CallStats(
            packets_received=receiver.packets,
            packets_lost=receiver.lost,
            packets_sent=self._stream.packets,
            frames_concealed=receiver.concealed,
            frames_recovered=receiver.recovered,
            dropped=dropped,
            jitter_ms=receiver.jitter * 1000,
            rtt_ms=None if self._rtt is None else self._rtt * 1000,
            queued_ms=self.playout.queued_ms,
            bytes_buffered=buffered,
        )
