"""A UDP socket whose datagrams come with the time at which they reached the machine."""

from __future__ import annotations

import socket
import struct
import time

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_BUFFER = 1 << 20


def stamped_socket(host: str) -> socket.socket:
    """Not blocking, IPv4, on a port that the system chooses."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    made.bind((host, 0))
    return made


def stamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    """When a datagram of ``recvmsg`` came, on ``time.time()``'s clock; now where the kernel did not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds) + float(nanoseconds) / 1e9
    return time.time()
