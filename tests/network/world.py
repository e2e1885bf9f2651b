"""The line between the service's namespace and its callers', carried by a thread."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import threading
import time
from collections.abc import Iterator

from .link import CLEAN, Conditions, Way
from .namespaces import Namespace
from .nat import Nat
from .packets import flow

_BATCH = 64
_IDLE_S = 0.5


class World:
    """``up`` leads to the service, ``down`` away from it."""

    def __init__(self, *service: str, seed: int = 1) -> None:
        """``service``: its addresses."""
        self.up, self.down = Way(seed), Way(seed + 1)
        self._hosts: dict[bytes, Namespace] = {}
        self._nats: dict[Namespace, Nat] = {}
        self._lock = threading.Lock()
        self._woken, self._wake = os.pipe()
        self._over = False
        self._failure: Exception | None = None
        self.service = Namespace(*service)
        self._know(self.service)
        self._thread = threading.Thread(target=self._carry, name="line", daemon=True)
        self._thread.start()

    def under(self, conditions: Conditions = CLEAN, down: Conditions | None = None) -> None:
        """From now on the line is like this, both ways unless ``down`` says otherwise."""
        with self._lock:
            self.up.conditions, self.down.conditions = conditions, down or conditions

    @contextlib.contextmanager
    def caller(self, *addresses: str, behind: Nat | None = None) -> Iterator[Namespace]:
        """A host for the block, and this thread in it."""
        host = Namespace(*addresses)
        try:
            with self._lock:
                self._know(host)
                if behind is not None:
                    self._nats[host] = behind
            os.write(self._wake, b"x")
            with host.entered():
                yield host
        finally:
            with self._lock:
                self._collect()  # a goodbye is not lost with its host
                self._hosts = {address: each for address, each in self._hosts.items() if each is not host}
                self._nats.pop(host, None)
                host.close()

    def close(self) -> None:
        """Raises what the carrying thread died of, if it did."""
        self._over = True
        os.write(self._wake, b"x")
        self._thread.join()
        self.service.close()
        os.close(self._wake)
        os.close(self._woken)
        if self._failure is not None:
            raise self._failure

    def _know(self, host: Namespace) -> None:
        self._hosts |= {ipaddress.ip_address(address).packed: host for address in host.addresses}

    # ------------------------------------------------------------------ the thread

    def _carry(self) -> None:
        try:
            while not self._over:
                self._wait()
                with self._lock:
                    self._collect()
                    self._deliver()
        except Exception as error:
            self._failure = error

    def _wait(self) -> None:
        with self._lock:
            lines = [host.tun for host in set(self._hosts.values())]
            due = [way.following for way in (self.up, self.down) if way.following is not None]
        wait = max(0.0, min([time.monotonic() + _IDLE_S, *due]) - time.monotonic())
        # A caller that leaves meanwhile closes its line under us.
        with contextlib.suppress(OSError):
            readable, _, _ = select.select([*lines, self._woken], [], [], wait)
            if self._woken in readable:
                os.read(self._woken, 64)

    def _collect(self) -> None:
        now = time.monotonic()
        for host in set(self._hosts.values()):
            for _ in range(_BATCH):
                try:
                    packet: bytes | None = os.read(host.tun, 65536)
                except BlockingIOError:
                    break
                if host is self.service:
                    self.down.put(now, packet or b"")
                    continue
                nat = self._nats.get(host)
                if nat is not None:
                    packet = nat.out(packet or b"")
                if packet is not None:
                    self.up.put(now, packet)

    def _deliver(self) -> None:
        now = time.monotonic()
        for packet in self.up.take(now):
            if self._hosts.get(flow(packet).target) is self.service:
                self._hand(self.service, packet)
        for packet in self.down.take(now):
            target = flow(packet).target
            nat = next((nat for nat in self._nats.values() if nat.outside == target), None)
            inner = packet if nat is None else nat.back(packet)
            host = self._hosts.get(flow(inner).target) if inner is not None else None
            if inner is not None and host is not None:
                self._hand(host, inner)

    def _hand(self, host: Namespace, packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # a host that is too slow loses it
            os.write(host.tun, packet)
