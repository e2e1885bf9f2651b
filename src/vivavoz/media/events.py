"""The event channel: ordered, reliable messages over SCTP (RFC 8831, RFC 8832)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from aiortc.rtcdatachannel import RTCDataChannel
from aiortc.rtcsctptransport import WEBRTC_STRING, WEBRTC_STRING_EMPTY, RTCSctpCapabilities

from vivavoz.media.association import Association, ChannelError, Lower, run

_NO_LIMIT = RTCSctpCapabilities(maxMessageSize=0)


class EventChannel:
    """The call's messages, both ways. All of the peer's channels are heard; what we send goes to the first.

    ``on_closed`` says that the peer has closed that channel or the association.
    """

    def __init__(
        self,
        *,
        client: bool,
        remote_port: int,
        transmit: Callable[[bytes], None],
        on_open: Callable[[], None],
        on_message: Callable[[str | bytes], None],
        on_closed: Callable[[], None],
        max_message: int,
        max_buffered: int,
    ) -> None:
        self._remote_port = remote_port
        self._on_open = on_open
        self._on_message = on_message
        self._on_closed = on_closed
        self._max_buffered = max_buffered
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._main: RTCDataChannel | None = None
        self._over = False
        self._association = Association(Lower(client=client, transmit=transmit), self, max_message)

    @property
    def open(self) -> bool:
        return self._main is not None and not self._over

    @property
    def buffered(self) -> int:
        """Bytes of messages not yet handed to the network."""
        return self._waiting_bytes + (self._main.bufferedAmount if self._main is not None else 0)

    def start(self) -> None:
        """DTLS is up. Both sides may open the association (RFC 8841 section 9.3)."""
        run(self._association.start(_NO_LIMIT, self._remote_port))

    def receive(self, data: bytes) -> None:
        """An SCTP packet. Raises :class:`ChannelError`."""
        if self._over:
            return
        try:
            run(self._association._handle_data(data))
        except ChannelError:
            raise
        except Exception as error:  # aiortc asserts, indexes and unpacks what the peer sent
            raise ChannelError(f"malformed SCTP ({type(error).__name__})") from error

    def acknowledge(self) -> None:
        """The peer shall hear what has arrived: to be called every 200 ms at least."""
        if not self._over:
            self._association.acknowledge()

    def send(self, text: str) -> bool:
        """Queue a text message, before the channel is open too. False: no room, or the channel is closed."""
        data = text.encode()
        if self._over or self.buffered + len(data) > self._max_buffered:
            return False
        if self._main is None:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
        else:
            self._send(self._main, data)
        return True

    def close(self) -> None:
        """Abort the association; nothing is called back any more."""
        if not self._over:
            self._over = True
            run(self._association.stop())
        self._waiting.clear()
        self._waiting_bytes = 0

    def _send(self, channel: RTCDataChannel, data: bytes) -> None:
        kind, payload = (WEBRTC_STRING, data) if data else (WEBRTC_STRING_EMPTY, b"\0")
        channel._addBufferedAmount(len(payload))
        self._association._data_channel_queue.append((channel, kind, payload))
        run(self._association._data_channel_flush())

    # ---------------------------------------------------------------------------- for the association

    def message(self, data: str | bytes) -> None:
        self._on_message(data)

    def opened(self, channel: RTCDataChannel) -> None:
        if self._main is not None:
            return
        self._main = channel
        while self._waiting:
            self._send(channel, self._waiting.popleft())
        self._waiting_bytes = 0
        self._on_open()

    def closed(self, channel: RTCDataChannel | None) -> None:
        if not self._over and (channel is None or channel is self._main):
            self._over = True
            self._on_closed()
