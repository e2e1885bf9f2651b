"""ICE over TCP (RFC 6544), the passive side: one port to which peers connect whom no UDP reaches. What would
be a datagram travels as a frame (RFC 4571), and each connection is an address like any other.

A connection that proves in 5 s to be a call's stays; whoever sends anything else than a check of a known
call, or a frame longer than a datagram, is cut off. A peer that reads slowly loses sound instead of hearing
it late.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, cast

from vivavoz.media.addresses import bound_socket

MAX_DATAGRAM = 2048
_BUFFER = 8192  # bytes read from a connection in one go, before others have their turn
_MAX_UNPROVEN = 64  # connections; for one more the oldest goes
_PROVE = 5.0  # s
_IDLE = 30.0  # s; a peer renews its consent at least every 15 (RFC 7675)
_LINGER = 1.0  # s that a goodbye has to leave
_SWEEP = 0.5  # s
_SEND_BUFFER = 1 << 16
_MAX_UNSENT = 4096  # bytes: half a second of sound; with more waiting, more would only come late
_MAX_EVENTS = 1 << 18  # bytes of everything else; SCTP and ICE repeat what is dropped


class TcpAddress(NamedTuple):
    """Where a peer is: the other end of one connection."""

    host: str
    port: int
    connection: int


class TcpPortError(OSError):
    """The TCP port cannot be bound (the UDP one could)."""


class Connection(asyncio.BufferedProtocol):
    """Frames of one peer, both ways. It holds one buffer of fixed size."""

    transport: asyncio.Transport
    address: TcpAddress

    def __init__(self, listener: TcpListener) -> None:
        self.deadline = 0.0
        """When it is cut off (monotonic s)."""
        self._listener = listener
        self._buffer = bytearray(_BUFFER)
        self._filled = 0
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._listener.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._leaving:
            return
        self._filled += nbytes
        at = 0
        while at + 2 <= self._filled and self.open:
            end = at + 2 + int.from_bytes(self._buffer[at : at + 2], "big")
            if end - at - 2 > MAX_DATAGRAM:
                self._listener.refuse(self)
                return
            if end > self._filled:
                break
            if end > at + 2:
                self._listener.received(self, bytes(self._buffer[at + 2 : end]))
            at = end
        if at:
            self._buffer[: self._filled - at] = self._buffer[at : self._filled]
            self._filled -= at

    @property
    def open(self) -> bool:
        return not self._leaving and not self.transport.is_closing()

    def leave(self) -> None:
        """Say that no more will come, behind what waits. The peer is still read from until it closes too: a
        socket closed on unread bytes takes back what it sent."""
        if self.open:
            self._leaving = True
            try:
                self.transport.write_eof()
            except OSError:
                # The peer has reset it already: there is nobody to say it to.
                self.transport.abort()

    def send(self, data: bytes) -> bool:
        """Now, or as the peer reads; False: dropped, since too much waits already."""
        if not self.open:
            return False
        waiting = self.transport.get_write_buffer_size()
        if waiting > (0 if data[0] >= 128 else _MAX_EVENTS):
            return False
        if data[0] >= 128 and self._unsent() > _MAX_UNSENT:
            return False
        self.transport.write(len(data).to_bytes(2, "big") + data)
        return True

    def _unsent(self) -> int:
        """What the kernel has not sent yet, where it tells."""
        if sys.platform != "linux":
            return 0
        import fcntl

        told = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), 0x894B, bytes(4))  # SIOCOUTQNSD
        return int.from_bytes(told, sys.byteorder)


class TcpListener:
    """The port and its connections."""

    def __init__(
        self,
        *,
        handle: Callable[[bytes, TcpAddress], bool],
        lost: Callable[[TcpAddress], None],
        admits: Callable[[str], bool],
    ) -> None:
        """``handle`` takes a datagram and says whether it was good for anything; ``lost`` hears of every
        address that is gone; ``admits`` says whether a host may connect at all."""
        self.accepted = 0
        self.refused = 0
        """Connections cut off: from where none may come, not a call's in time, or not what ICE sends."""
        self._handle = handle
        self._lost = lost
        self._admits = admits
        self._connections: dict[TcpAddress, Connection] = {}
        self._unproven: dict[TcpAddress, Connection] = {}
        self._ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    def __len__(self) -> int:
        return len(self._connections)

    async def start(self, host: str, port: int) -> None:
        """Bind. Raises :class:`TcpPortError`."""
        try:
            sock = await bound_socket(host, port, socket.SOCK_STREAM, _SEND_BUFFER)
        except OSError as error:
            raise TcpPortError(*error.args) from error
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=sock)
        self._sweeper = loop.call_later(_SWEEP, self._sweep)

    async def stop(self) -> None:
        """Close the port; what was sent has a second to leave."""
        if self._server is None:
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._server.close()
        for connection in tuple(self._connections.values()):
            self.drop(connection.address)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while self._connections:
                    self._ended.clear()
                    await self._ended.wait()
        for connection in tuple(self._connections.values()):
            connection.transport.abort()
        await self._server.wait_closed()
        self._server = None

    # ------------------------------------------------------------------ for the engine

    def send(self, data: bytes, address: TcpAddress) -> bool:
        connection = self._connections.get(address)
        return connection is not None and connection.send(data)

    def prove(self, address: TcpAddress) -> None:
        """The connection is a call's."""
        connection = self._unproven.pop(address, None)
        if connection is not None:
            connection.deadline = time.monotonic() + _IDLE

    def drop(self, address: TcpAddress) -> None:
        """The connection is no call's any more: it closes when it has sent what it holds."""
        connection = self._connections.get(address)
        if connection is not None:
            connection.deadline = time.monotonic() + _LINGER
            connection.leave()

    # ------------------------------------------------------------------ for connections

    def opened(self, connection: Connection) -> None:
        # A peer that has already gone has no name.
        host, port = (connection.transport.get_extra_info("peername") or ("", 0))[:2]
        self.accepted += 1
        connection.address = TcpAddress(host, port, self.accepted)
        self._connections[connection.address] = self._unproven[connection.address] = connection
        connection.deadline = time.monotonic() + _PROVE
        if not self._admits(host):
            self.refuse(connection)
        elif len(self._unproven) > _MAX_UNPROVEN:
            self.refuse(next(iter(self._unproven.values())))

    def closed(self, connection: Connection) -> None:
        self._ended.set()
        self._unproven.pop(connection.address, None)
        if self._connections.pop(connection.address, None) is not None:
            self._lost(connection.address)

    def received(self, connection: Connection, data: bytes) -> None:
        if self._handle(data, connection.address):
            if connection.address not in self._unproven:
                connection.deadline = time.monotonic() + _IDLE
        elif connection.address in self._unproven:
            self.refuse(connection)

    def refuse(self, connection: Connection) -> None:
        self.refused += 1
        self._unproven.pop(connection.address, None)
        connection.transport.abort()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in tuple(self._connections.values()):
            if now > connection.deadline:
                if connection.open:
                    self.refuse(connection)
                else:
                    connection.transport.abort()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)
