"""Mini peers over real sockets, one TCP connection or one UDP socket each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from vivavoz.media.engine import LeanEngine
from vivavoz.media.stun import Address

from .minipeer import MiniPeer
from .peers import TIMEOUT, RecordingSink


class Net:
    """In the place of a :class:`~.minipeer.Wire`: the machine's own network moves by itself."""

    def __init__(self, engine: LeanEngine) -> None:
        self.engine = engine
        self.peers: dict[Address, MiniPeer] = {}

    @property
    def now(self) -> float:
        return time.monotonic()

    def run(self) -> None:
        """Nothing waits."""


class SocketPeer(MiniPeer):
    """Sends through ``out``; :meth:`receive` is called with what comes."""

    def __init__(self, engine: LeanEngine, sink: RecordingSink, **options: Any) -> None:
        self.out: Callable[[bytes], None] = lambda data: None
        self._changed = asyncio.Event()
        super().__init__(Net(engine), sink, **options)  # type: ignore[arg-type]
        self.sink = sink

    def send(self, data: bytes, *, source: Address | None = None) -> bool:
        self.out(data)
        return True

    def receive(self, data: bytes) -> None:
        super().receive(data)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Until ``condition``, looked at whenever something came."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def connected(self) -> None:
        """Check, handshake, open the channel."""
        self.dtls.start()
        self.check()
        await self.until(lambda: self.dtls.srtp)
        if self.events is not None:
            self.open_channel()
        await self.sink.wait_for(lambda: self.sink.state == "connected")


def frame(data: bytes) -> bytes:
    """RFC 4571."""
    return len(data).to_bytes(2, "big") + data


@contextlib.asynccontextmanager
async def over_tcp(peer: SocketPeer, host: str = "127.0.0.1") -> AsyncIterator[asyncio.StreamWriter]:
    """A connection for ``peer``; leaving it closes it."""
    reader, writer = await asyncio.open_connection(host, peer.wire.engine.tcp_port)

    async def read() -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                peer.receive(await reader.readexactly(size))

    peer.out = lambda data: writer.write(frame(data))
    reading = asyncio.ensure_future(read())
    try:
        yield writer
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, peer: SocketPeer) -> None:
        self._peer = peer

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._peer.receive(data)


@contextlib.asynccontextmanager
async def over_udp(peer: SocketPeer, host: str) -> AsyncIterator[None]:
    remote = (host, peer.wire.engine.port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(peer), remote_addr=remote
    )
    peer.out = transport.sendto
    try:
        yield
    finally:
        transport.close()
