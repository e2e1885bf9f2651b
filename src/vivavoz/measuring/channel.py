"""The event channel of a caller: aiortc's SCTP over our DTLS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from vivavoz.media.dtls import Dtls

MAX_MESSAGE = 262_144


class Channel:
    """``opened`` and ``message`` are called when the channel is open, and for each message."""

    def __init__(
        self, dtls: Dtls, *, opened: Callable[[], None], message: Callable[[str | bytes], None]
    ) -> None:
        self._sctp = RTCSctpTransport(_Lower(dtls))  # type: ignore[arg-type]
        self._channel = RTCDataChannel(self._sctp, RTCDataChannelParameters(label="oai-events"))
        self._channel.on("open", opened)
        self._channel.on("message", message)
        _run(self._sctp.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE), 5000))

    def send(self, text: str) -> None:
        self._channel.send(text)

    def receive(self, packet: bytes) -> None:
        """What DTLS carried."""
        _run(self._sctp._handle_data(packet))

    async def close(self) -> None:
        await self._sctp.stop()


class _Lower:
    """What aiortc's SCTP knows of DTLS."""

    state = "connected"

    def __init__(self, dtls: Dtls) -> None:
        self._dtls = dtls
        self._role = "client" if dtls.client else "server"

    async def _send_data(self, data: bytes) -> None:
        self._dtls.send(data)

    def _register_data_receiver(self, receiver: object) -> None: ...

    def _unregister_data_receiver(self, receiver: object) -> None: ...


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends, since nothing below it waits."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
