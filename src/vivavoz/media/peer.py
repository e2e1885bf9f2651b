"""One call: ICE, DTLS, sound and events of one peer behind the media port."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, Protocol

from vivavoz.media.association import ChannelError
from vivavoz.media.audio import AudioStream
from vivavoz.media.config import MediaConfig
from vivavoz.media.dtls import Dtls, DtlsError
from vivavoz.media.events import EventChannel
from vivavoz.media.ice import IceAgent
from vivavoz.media.ports import CallSink, CallStats, End, Played, State
from vivavoz.media.stun import Address, Message

P = ParamSpec("P")

log = logging.getLogger(__name__)

_PROBE_AFTER = 0.4  # of the consent timeout
_PROBE_EVERY = 0.5  # s


class Network(Protocol):
    """What a peer needs of its engine."""

    def transmit(self, data: bytes, address: Address) -> None: ...
    def later(self, callback: Callable[[], None]) -> None: ...
    def forget(self, peer: Peer, end: End) -> None: ...


class Peer:
    """A :class:`~vivavoz.media.ports.MediaCall`. The engine hands it datagrams, the pacer its turns."""

    def __init__(
        self, config: MediaConfig, sink: CallSink, ice: IceAgent, network: Network, now: float
    ) -> None:
        self.ice = ice
        self.state: State = "connecting"
        self._config = config
        self._sink = sink
        self._network = network
        self._heard = self._began = now
        self._probed = 0.0
        self._secured: float | None = None
        self._forged = 0
        self._monitor: Callable[[bytes], None] | None = None
        self._dtls: Dtls
        self._audio: AudioStream
        self._events: EventChannel | None

    def equip(self, dtls: Dtls, audio: AudioStream, events: EventChannel | None) -> None:
        """Its parts; they send through :meth:`transmit` and so are made after it."""
        self._dtls, self._audio, self._events = dtls, audio, events

    def transmit(self, data: bytes) -> None:
        if self.ice.selected is not None:
            self._network.transmit(data, self.ice.selected)

    # ------------------------------------------------------------------ the port

    @property
    def queued_ms(self) -> int:
        return self._audio.playout.queued_ms

    def write(self, pcm: bytes, tag: str) -> None:
        if self.state != "closed":
            self._audio.playout.write(pcm, tag)

    def end(self, tag: str) -> None:
        if self.state != "closed":
            self._audio.playout.end(tag)

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        self._monitor = heard

    def flush(self) -> list[Played]:
        return self._audio.playout.flush()

    def hold(self) -> None:
        self._audio.playout.hold()

    def release(self) -> None:
        self._audio.playout.release()

    def send_event(self, text: str) -> bool:
        return self.state != "closed" and (self._events is None or self._events.send(text))

    def stats(self) -> CallStats:
        stats = self._audio.stats(self._events.buffered if self._events is not None else 0)
        stats.dropped["dtls"] = self._forged
        return stats

    def close(self, reason: str, end: End = "local") -> None:
        if self.state == "closed":
            return
        self.state = "closed"
        self._audio.bye(self._heard)
        if self._events is not None:
            self._events.close()
        self._dtls.close()
        self._network.forget(self, end)
        self._network.later(lambda: self._tell(self._sink.on_state, "closed", reason))

    # ------------------------------------------------------------------ from the network

    def check(self, data: bytes, message: Message, source: Address, now: float) -> tuple[bytes | None, bool]:
        """An ICE check: (the answer, whether ``source`` is the peer's)."""
        answer, authentic = self.ice.request(data, message, source, now)
        if authentic:
            self._heard = now
        return answer, authentic

    def checked(self) -> None:
        """The answer to a check has left: what waits for the path may go."""
        if self.state == "connecting":
            self._guarded(self._dtls.start)

    def probe_answered(self, data: bytes, message: Message, now: float) -> bool:
        if not self.ice.response(data, message):
            return False
        self._heard = now
        return True

    def datagram(self, data: bytes, now: float) -> None:
        """DTLS or SRTP from an address that is the peer's."""
        if self.state == "closed":
            return
        if data[0] < 64:
            self._guarded(lambda: self._dtls_datagram(data, now))
            return
        pcm, authentic = self._audio.received(data, now, listening=self.state == "connected")
        if authentic:
            self._heard = now
        if pcm:
            self._tell(self._sink.on_audio, pcm)

    def _dtls_datagram(self, data: bytes, now: float) -> None:
        packets = self._dtls.receive(data)
        if self._secured is not None and not packets and not self._dtls.closed:
            self._forged += 1  # or repeated
        if self._secured is None and self._dtls.srtp is not None:
            self._secured = self._heard = now
            self._audio.start(self._dtls.srtp, now)
            if self._events is None:
                self._connected()
            else:
                self._events.start()
        for packet in packets:
            self._heard = now
            if self._events is not None:
                self._events.receive(packet)
        if self._dtls.closed:
            self.close("the peer hung up", "peer")

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (DtlsError, ChannelError) as error:
            self.close(str(error), "dtls" if isinstance(error, DtlsError) else "channel")

    # ------------------------------------------------------------------ from the event channel

    def channel_opened(self) -> None:
        self._connected()

    def channel_message(self, message: str | bytes) -> None:
        if self.state == "connected":
            self._tell(self._sink.on_event, message)

    def channel_closed(self) -> None:
        self.close("the peer closed the event channel", "peer")

    def _connected(self) -> None:
        if self.state == "connecting":
            self.state = "connected"
            self._tell(self._sink.on_state, "connected", "")

    # ------------------------------------------------------------------ from the pacer

    def tick(self, now: float, skipped: int) -> None:
        try:
            self._tick(now, skipped)
        except Exception:
            log.exception("a call failed in its turn")
            self.close("internal error", "failed")

    def _tick(self, now: float, skipped: int) -> None:
        alive = self._consent(now) if self.state == "connected" else self._connecting(now)
        if not alive or self._secured is None:
            return
        frame = self._audio.send(skipped)
        if self._monitor is not None and frame.pcm is not None:
            self._tell(self._monitor, frame.pcm)
        for tag in frame.playing:
            self._tell(self._sink.on_playing, tag)
        for played in frame.played:
            self._tell(self._sink.on_played, played)
        if self.state == "connected" and (pcm := self._audio.receiver.tick(now)):
            self._tell(self._sink.on_audio, pcm)
        if self.state != "closed":
            self._audio.report(now)
            if self._events is not None:
                self._events.acknowledge()

    def _connecting(self, now: float) -> bool:
        """Watch over the handshake; whether the call goes on."""
        if self._secured is not None and now - self._secured > self._config.channel_timeout:
            self._connected()
        elif now - self._began > self._config.connect_timeout:
            self.close("the peer never connected", "no_path" if self.ice.selected is None else "no_handshake")
        else:
            self._guarded(self._dtls.tick)
        return self.state != "closed"

    def _consent(self, now: float) -> bool:
        """Watch over the peer (RFC 7675); whether it still lives."""
        quiet = now - self._heard
        timeout = self._config.consent_timeout
        if quiet > timeout:
            self.close("the peer vanished", "vanished")
            return False
        if quiet > timeout * _PROBE_AFTER and now - self._probed > _PROBE_EVERY:
            self._probed = now
            self.transmit(self.ice.probe())
        return True

    def _tell(self, callback: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """A callback that raises ends its own call and disturbs no other."""
        try:
            callback(*args, **kwargs)
        except Exception:
            log.exception("the owner of a call failed")
            self.close("internal error", "failed")
