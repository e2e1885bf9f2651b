"""Network namespaces without names. Each is held by an open file, and its device by another: whatever way a
test run ends, the kernel takes them away, and runs side by side share nothing."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_TUN = "/dev/net/tun"
_MSS = 1220
"""What TCP may send at once, so that it fits 1280 bytes: routers to narrow paths see to that. For UDP nobody
does."""

_libc = ctypes.CDLL(None, use_errno=True)


def lacking() -> str | None:
    """Why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no command ip: apt-get install iproute2"
    try:
        Namespace("192.0.2.1").close()
    except OSError as error:
        return f"no network namespaces or no {_TUN} here ({error})"
    except subprocess.CalledProcessError as error:
        return f"a network namespace cannot be set up here ({error.stderr.decode().strip()})"
    return None


class Namespace:
    """A host with nothing but loopback and a line. ``tun`` (not blocking) is that line's other end: read what
    the host sends, write what it is to receive. Raises OSError, CalledProcessError."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._net = _made()
        try:
            with self.entered():
                self.tun = _device("tun0")
                _ip("link", "set", "lo", "up")
                _ip("link", "set", "tun0", "up")
                for address in addresses:
                    six = ":" in address
                    # Else the kernel first asks for a second whether somebody else has it.
                    _ip("address", "add", address, "dev", "tun0", *["nodad"] * six)
                    route = ("route", "replace", "default", "dev", "tun0", "advmss", str(_MSS))
                    _ip("-6" if six else "-4", *route)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread opens or starts in the block lives in this namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", self._net, _CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    def close(self) -> None:
        for name in ("tun", "_net"):
            if name in self.__dict__:
                os.close(self.__dict__.pop(name))


def _made() -> int:
    """A new namespace, made by a thread that dies of it."""
    made: list[int | OSError] = []

    def make() -> None:
        try:
            _call("unshare", _CLONE_NEWNET)
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _device(name: str) -> int:
    fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
