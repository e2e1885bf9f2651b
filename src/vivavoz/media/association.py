"""An SCTP association under data channels (RFC 9260, RFC 8831, RFC 8832): aiortc's, bounded.

Its coroutines only ever wait for the transport below to send; ours never waits, so they are run to their end
on the spot and no task is made for a message.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import (
    DATA_CHANNEL_OPEN,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    USERDATA_MAX_LENGTH,
    WEBRTC_BINARY,
    WEBRTC_BINARY_EMPTY,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    WEBRTC_STRING_EMPTY,
    Chunk,
    DataChunk,
    InboundStream,
    RTCSctpTransport,
    SackChunk,
)

MAX_MISORDERED = 1024
"""Chunks kept that came before one that is missing; what comes further ahead must be repeated."""
MAX_FRAGMENTS = 4096
"""Chunks kept for messages that are not whole: each costs its object, however short it is."""
_MAX_UNORDERED = 512
"""Likewise where order does not count: what is held is searched whole for every chunk."""
_MAX_GAPS = 200  # told of in one acknowledgement, so that it fits a datagram; the rest is told later
_MAX_DUPLICATES = 32  # likewise
_SACK_SIZE = 16
"""Bytes of an acknowledgement of all there is."""
_MAX_CHANNELS = 16
_REORDER_ROOM = 256 * 1024
_RTO_INITIAL = 0.5  # s
_RTO_MIN = 0.4
"""aiortc's 3 s and 1 s are RFC 9260's, made for files; these are what browsers use. A lost event should
not come a second late."""


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("the SCTP association waited for something")


class ChannelError(Exception):
    """The peer broke the protocol or a bound; the association cannot go on."""


class Owner(Protocol):
    """Whose association it is."""

    def opened(self, channel: RTCDataChannel) -> None: ...

    def message(self, data: str | bytes) -> None: ...

    def closed(self, channel: RTCDataChannel | None) -> None:
        """A channel; None: the association."""
        ...


class Lower:
    """What the association knows of DTLS."""

    def __init__(self, *, client: bool, transmit: Callable[[bytes], None]) -> None:
        self.state = "connected"
        self._role = "client" if client else "server"
        self._transmit = transmit

    async def _send_data(self, data: bytes) -> None:
        self._transmit(data)

    def _register_data_receiver(self, receiver: object) -> None: ...

    def _unregister_data_receiver(self, receiver: object) -> None: ...


class _Stream(InboundStream):
    """Looks for a whole message only when a last fragment is there: aiortc's search is linear in the
    fragments held, so a large message would cost their square."""

    def __init__(self) -> None:
        super().__init__()
        self._lasts = 0

    def add_chunk(self, chunk: DataChunk) -> None:
        super().add_chunk(chunk)
        self._lasts += bool(chunk.flags & SCTP_DATA_LAST_FRAG)

    def pop_messages(self) -> Any:
        if self._lasts:
            for message in super().pop_messages():
                self._lasts -= 1
                yield message


class _Bundle(Chunk):
    """An acknowledgement and data in one packet (RFC 9260 section 6.10)."""

    def __init__(self, sack: SackChunk, data: DataChunk) -> None:
        self._chunks = (sack, data)

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, self._chunks))


class Association(RTCSctpTransport):
    """aiortc's association, bounded, with its messages handed straight to the channel.

    Where nothing is missing, an acknowledgement waits for data that goes the same way, for the packet after
    or for :meth:`acknowledge` (RFC 9260 section 6.2): most of them need no packet of their own.
    """

    def __init__(self, lower: Lower, owner: Owner, max_message: int) -> None:
        super().__init__(lower)  # type: ignore[arg-type]
        self._owner = owner
        self._room = self._advertised_rwnd = max_message + _REORDER_ROOM
        self._max_message = max_message
        self._rto = _RTO_INITIAL
        self._sack_waits = False

    def acknowledge(self) -> None:
        """Send the acknowledgement that waits; to be called every 200 ms at least."""
        if self._sack_waits:
            run(self._send_sack())

    def _update_rto(self, R: float) -> None:
        super()._update_rto(R)
        assert self._srtt is not None
        assert self._rttvar is not None
        self._rto = min(self._rto, max(_RTO_MIN, self._srtt + 4 * self._rttvar))

    def _get_inbound_stream(self, stream_id: int) -> InboundStream:
        stream = self._inbound_streams.get(stream_id)
        if stream is None:
            if len(self._inbound_streams) >= 4 * _MAX_CHANNELS:
                raise ChannelError("too many streams")
            stream = self._inbound_streams[stream_id] = _Stream()
        return stream

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        ahead = chunk.tsn - (self._last_received_tsn or 0) & 0xFFFFFFFF
        full = len(self._sack_misordered) >= MAX_MISORDERED or ahead > 0xFFFF
        if 1 < ahead < 1 << 31 and full:
            self._sack_needed = True
            return
        if sum(len(stream.reassembly) for stream in self._inbound_streams.values()) >= MAX_FRAGMENTS:
            raise ChannelError("a message comes in too many pieces")
        held = self._inbound_streams.get(chunk.stream_id)
        if chunk.flags & SCTP_DATA_UNORDERED and held and len(held.reassembly) >= _MAX_UNORDERED:
            raise ChannelError("an unordered message comes in too many pieces")
        if self._advertised_rwnd < len(chunk.user_data):
            raise ChannelError("a message is larger than announced")
        await super()._receive_data_chunk(chunk)

    async def _send_sack(self) -> None:
        if self._sack_waits or not self._in_order:
            self._sack_waits = False
            await super()._send_sack()
        else:
            self._sack_waits, self._sack_needed = True, False

    @property
    def _in_order(self) -> bool:
        return not (self._sack_misordered or self._sack_duplicates)

    async def _send_chunk(self, chunk: Chunk) -> None:
        if isinstance(chunk, SackChunk):
            del chunk.gaps[_MAX_GAPS:], chunk.duplicates[_MAX_DUPLICATES:]
        elif isinstance(chunk, DataChunk) and self._may_carry_sack(chunk):
            self._sack_waits = self._sack_needed = False
            chunk = _Bundle(self._sack(), chunk)
        await super()._send_chunk(chunk)

    def _may_carry_sack(self, chunk: DataChunk) -> bool:
        fits = len(chunk.user_data) <= USERDATA_MAX_LENGTH - _SACK_SIZE
        return fits and (self._sack_waits or self._sack_needed) and self._in_order

    def _sack(self) -> SackChunk:
        sack = SackChunk()
        sack.cumulative_tsn = self._last_received_tsn or 0
        sack.advertised_rwnd = max(0, self._advertised_rwnd)
        return sack

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        known = self._data_channels.get(stream_id)
        if pp_id == WEBRTC_DCEP:
            opening = data[:1] == bytes([DATA_CHANNEL_OPEN])
            if opening and (known is not None or len(self._data_channels) >= _MAX_CHANNELS):
                return
            if not opening and known is None:
                return
            await super()._data_channel_receive(stream_id, pp_id, data)
        elif known is None:
            # A channel that both sides agreed on beforehand opens with its first message.
            if len(self._data_channels) >= _MAX_CHANNELS:
                return
            RTCDataChannel(self, RTCDataChannelParameters(negotiated=True, id=stream_id))
        if known is None and (channel := self._data_channels.get(stream_id)) is not None:
            self._owner.opened(channel)
        self._deliver(pp_id, data)

    def _deliver(self, pp_id: int, data: bytes) -> None:
        if len(data) > self._max_message:
            raise ChannelError("a message is larger than announced")
        if pp_id == WEBRTC_STRING:
            try:
                self._owner.message(data.decode())
            except UnicodeDecodeError:
                self._owner.message(data)
        elif pp_id == WEBRTC_BINARY:
            self._owner.message(data)
        elif pp_id == WEBRTC_STRING_EMPTY:
            self._owner.message("")
        elif pp_id == WEBRTC_BINARY_EMPTY:
            self._owner.message(b"")

    def _data_channel_closed(self, stream_id: int) -> None:
        channel = self._data_channels.get(stream_id)
        super()._data_channel_closed(stream_id)
        if channel is not None:
            self._owner.closed(channel)

    def _set_state(self, state: RTCSctpTransport.State) -> None:
        super()._set_state(state)
        if state == self.State.CLOSED:
            self._owner.closed(None)
