"""A peer made of the engine's own parts, coupled to it in memory: no waiting, any address, any abuse."""

from __future__ import annotations

import time
from collections import deque

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters

from vivavoz.media import stun
from vivavoz.media.config import MediaConfig
from vivavoz.media.dtls import Dtls, Identity
from vivavoz.media.engine import LeanEngine
from vivavoz.media.events import EventChannel
from vivavoz.media.ports import CallSink
from vivavoz.media.rtp import RtpStream
from vivavoz.media.stun import Address

IDENTITY = Identity()
UFRAG, PASSWORD = "mini", "p" * 24


class Wire:
    """The network between a started engine and its mini peers. Nothing moves but in :meth:`run`."""

    def __init__(self, config: MediaConfig | None = None) -> None:
        self.engine = LeanEngine(config)
        self.engine.transmit = self._transmit  # type: ignore[method-assign]
        # Time is given by hand: the engine's own clock would find packets missing on a busy machine.
        self.engine._pacer._arm = lambda delay: None  # type: ignore[method-assign]
        self.peers: dict[Address, MiniPeer] = {}
        self.now = time.monotonic()
        self.sent: deque[tuple[bytes, Address]] = deque()

    async def __aenter__(self) -> Wire:
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()

    def _transmit(self, data: bytes, address: Address) -> None:
        self.sent.append((data, address))

    def run(self) -> None:
        """Deliver what the engine sent, and what that brings about."""
        while self.sent:
            data, address = self.sent.popleft()
            peer = self.peers.get(address)
            if peer is not None:
                peer.receive(data)


class MiniPeer:
    """Offers Opus and an event channel. Everything it received is kept."""

    def __init__(
        self,
        wire: Wire,
        sink: CallSink,
        *,
        address: Address = ("192.0.2.9", 5000),
        setup: str = "actpass",
        fingerprint: str = IDENTITY.fingerprint,
        events: bool = True,
    ) -> None:
        self.wire = wire
        self.address = address
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.messages: list[str | bytes] = []
        self.stun_answers: list[stun.Message] = []
        self.events: EventChannel | None = None
        self.stream = RtpStream(ssrc=77, payload_type=111, sequence=0, timestamp=0, step=960)
        wire.peers[address] = self
        self.answer, self.call = wire.engine.accept(self.offer(setup, fingerprint, events), sink)
        fields = dict(line[2:].partition(":")[::2] for line in self.answer.split("\r\n") if line[:2] == "a=")
        self.remote_ufrag, self.remote_password = fields["ice-ufrag"], fields["ice-pwd"].encode()
        self.dtls = Dtls(
            IDENTITY,
            client=fields["setup"] == "passive",
            fingerprints=[("sha-256", fields["fingerprint"].split()[1])],
            transmit=self.send,
        )
        if events:
            self.events = EventChannel(
                client=self.dtls.client,
                remote_port=5000,
                transmit=self.dtls.send,
                on_open=lambda: None,
                on_message=self.messages.append,
                on_closed=lambda: None,
                max_message=1 << 20,
                max_buffered=1 << 24,
            )

    @staticmethod
    def offer(setup: str = "actpass", fingerprint: str = IDENTITY.fingerprint, events: bool = True) -> str:
        transport = [
            f"a=ice-ufrag:{UFRAG}", f"a=ice-pwd:{PASSWORD}", f"a=fingerprint:sha-256 {fingerprint}",
            f"a=setup:{setup}",
        ]  # fmt: skip
        lines = [
            "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
            *transport,
        ]  # fmt: skip
        if events:
            lines += ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:1", *transport]
        return "\r\n".join(lines) + "\r\n"

    def send(self, data: bytes, *, source: Address | None = None) -> bool:
        return self.wire.engine.handle(data, source or self.address, self.wire.now)

    def check(
        self,
        *,
        nominate: bool = True,
        source: Address | None = None,
        password: bytes | None = None,
        controlled: bool = False,
        remote: str = UFRAG,
    ) -> bool:
        """An ICE check, as a controlling agent sends it."""
        username = f"{self.remote_ufrag}:{remote}".encode()
        body = stun._ATTRIBUTE.pack(0x0006, len(username)) + username + b"\0" * (-len(username) % 4)
        body += stun._ATTRIBUTE.pack(0x8029 if controlled else 0x802A, 8) + bytes(8)
        if nominate:
            body += stun._ATTRIBUTE.pack(0x0025, 0)
        data = stun._seal(stun.BINDING_REQUEST, b"t" * 12, body, password or self.remote_password)
        return self.send(data, source=source)

    def connect(self) -> None:
        self.check()
        self.dtls.start()
        self.wire.run()
        if self.events is not None:
            self.open_channel()

    def open_channel(self) -> None:
        """The first message on a stream that nobody announced opens it, on both sides."""
        assert self.events is not None
        association = self.events._association
        channel = RTCDataChannel(association, RTCDataChannelParameters(negotiated=True, id=0))
        self.events.opened(channel)
        assert self.events.send("open")
        self.wire.run()

    def receive(self, data: bytes) -> None:
        if data[0] < 4:
            message = stun.parse(data)
            assert message is not None
            self.stun_answers.append(message)
        elif data[0] < 64:
            before = self.dtls.srtp
            packets = self.dtls.receive(data)
            if self.events is not None:
                if before is None and self.dtls.srtp is not None:
                    self.events.start()
                for packet in packets:
                    self.events.receive(packet)
        elif self.dtls.srtp is not None:
            if 192 <= data[1] <= 223:
                self.rtcp.append(self.dtls.srtp.unprotect_rtcp(data) or b"")
            else:
                self.rtp.append(self.dtls.srtp.unprotect(data) or b"")

    def speak(self, payload: bytes) -> bytes:
        """One packet of sound, protected; not yet sent."""
        assert self.dtls.srtp is not None
        return self.dtls.srtp.protect(self.stream.packet(payload))
