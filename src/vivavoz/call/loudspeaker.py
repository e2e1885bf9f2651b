"""What leaves for the caller's ears, told to everybody in the call who listens: a transport tells one."""

from __future__ import annotations

from collections.abc import Callable

from vivavoz.transports.port import Transport

Heard = Callable[[bytes], None]


class Loudspeaker:
    """The client's. Costs nothing while nobody listens."""

    def __init__(self) -> None:
        self._transport: Transport | None = None
        self._listeners: dict[str, Heard] = {}

    def join(self, transport: Transport) -> None:
        self._transport = transport
        self._follow()

    def listen(self, name: str, heard: Heard | None) -> None:
        """From now on tell ``heard`` (24 kHz PCM, up to 20 ms); None: nobody of this name."""
        if heard is None:
            self._listeners.pop(name, None)
        else:
            self._listeners[name] = heard
        self._follow()

    def _follow(self) -> None:
        if self._transport is not None:
            self._transport.monitor(self._tell if self._listeners else None)

    def _tell(self, pcm: bytes) -> None:
        for heard in tuple(self._listeners.values()):
            heard(pcm)
