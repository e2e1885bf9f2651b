"""Functions that profiles of tests name."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from vivavoz.app.observer.tools import ToolContext, ToolFailed

SLOW_S = 0.3


class Guest(Struct):
    name: str
    age: int = 0


def weather(
    city: Annotated[str, Meta(description="The city's name")], unit: Literal["c", "f"] = "c"
) -> dict[str, str]:
    """Tells the weather
    of a city.

    More for those who read the source.
    """
    return {"city": city, "unit": unit, "sky": "clear"}


async def whose(context: ToolContext, *, loud: bool = False) -> str:
    """Says whose call it is."""
    await asyncio.sleep(0)
    return context.user.upper() if loud else context.user


async def register(guests: list[Guest]) -> int:
    return sum(guest.age for guest in guests)


async def slow_coroutine() -> str:
    await asyncio.sleep(60)
    return "late"


def slow_thread() -> str:
    time.sleep(SLOW_S)
    return "late"


def refuses() -> None:
    raise ToolFailed("There is no table left.")


def breaks() -> None:
    raise ValueError("the password is 12345")


def exits() -> None:
    sys.exit(1)


async def cancels() -> None:
    raise asyncio.CancelledError


def no_json() -> object:
    return object()


def long() -> str:
    return "x" * 100_000


def untyped(anything, more=3):  # type: ignore[no-untyped-def]
    return [anything, more]


def positional(one: int, /) -> int:
    return one


def unreadable(socket: asyncio.Transport) -> None: ...


NOT_A_FUNCTION = 5
