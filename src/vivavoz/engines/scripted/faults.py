"""What a script lets go wrong around the engines, as data. Making it go wrong is not the engines' matter."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

Ordinal = Annotated[int, Meta(ge=1)]
Ordinals = Annotated[list[Ordinal], Meta(min_length=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Opening(_Fault, frozen=True, kw_only=True):
    """A fault of opening a call. Attempts are counted from 1, refused ones too."""

    attempts: Ordinals | None = None
    """Which attempts it meets; None: all."""

    def meets(self, attempt: int) -> bool:
        return self.attempts is None or attempt in self.attempts


class Handshake(Opening, frozen=True, kw_only=True):
    """The answer comes late."""

    delay_ms: Annotated[float, Meta(ge=0, le=600_000)]


class Refuse(Opening, frozen=True, kw_only=True):
    """The answer is an HTTP error."""

    status: Annotated[int, Meta(ge=400, le=599)] = 503
    type: str = "server_error"
    code: str = "scripted_refusal"
    message: str = "The script lets this attempt fail."


class RateLimit(Opening, frozen=True, kw_only=True):
    """429, with ``Retry-After``."""

    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] = 1
    message: str = "Rate limit reached for new sessions. Please try again later."


class Drop(_Fault, frozen=True, kw_only=True):
    """The connection breaks without a goodbye. Calls are counted from 1."""

    calls: Ordinals | None = None
    """Which calls it meets; None: all."""
    after_events: Ordinal | None = None
    """After so many server events have left."""
    after_ms: Annotated[float, Meta(ge=0, le=86_400_000)] | None = None
    """So long after the connection was made."""

    def __post_init__(self) -> None:
        if (self.after_events is None) == (self.after_ms is None):
            raise ValueError("a drop has either `after_events` or `after_ms`")

    def meets(self, call: int) -> bool:
        return self.calls is None or call in self.calls


class LostPackets(_Fault, frozen=True, kw_only=True):
    """Sound packets of WebRTC calls are lost; a seed says which."""

    fraction: Fraction
    """How many in the long run."""
    burst: Annotated[int, Meta(ge=1, le=1000)] = 1
    """How many in a row."""
    seed: int = 0
    direction: Literal["both", "to_server", "to_client"] = "both"


class Faults(_Fault, frozen=True, kw_only=True):
    handshake: Handshake | list[Handshake] = []
    refuse: Refuse | list[Refuse] = []
    rate_limit: RateLimit | list[RateLimit] = []
    drop: Drop | list[Drop] = []
    lost_packets: LostPackets | None = None

    def __bool__(self) -> bool:
        return self != Faults()

    def late(self, attempt: int) -> float:
        """How late (ms) this attempt is answered."""
        return sum(each.delay_ms for each in _listed(self.handshake) if each.meets(attempt))

    def refusal(self, attempt: int) -> Refuse | RateLimit | None:
        refusals: list[Refuse | RateLimit] = [*_listed(self.rate_limit), *_listed(self.refuse)]
        return next((each for each in refusals if each.meets(attempt)), None)

    def drop_of(self, call: int) -> Drop | None:
        return next((each for each in _listed(self.drop) if each.meets(call)), None)


T = TypeVar("T")


def _listed(given: T | list[T]) -> list[T]:
    return given if isinstance(given, list) else [given]
