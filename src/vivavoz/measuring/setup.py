"""How long a call takes to begin, and an event to be answered."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from vivavoz.measuring.line import Line

Call = Callable[[], AbstractAsyncContextManager[Line]]
"""A call that has its ``session.created``, until the block ends; may raise
:class:`~vivavoz.measuring.endpoint.Trouble`."""

_FIRST_PACKET_S = 2.0
_ROUND_TRIP_S = 5.0
_ADDED = ("conversation.item.added", "conversation.item.created")
"""As the Realtime API names it, and as its beta did."""

STEPS = {
    "webrtc": {
        "answer": "offer -> answer",
        "ice": "offer -> ICE path",
        "dtls": "offer -> DTLS done",
        "channel": "offer -> data channel open",
        "session.created": "offer -> session.created",
        "packet": "offer -> first RTP packet",
    },
    "websocket": {
        "connect": "connect -> upgraded",
        "session.created": "connect -> session.created",
    },
}
"""Of each transport: step -> how it is called in tables."""


class Setup(msgspec.Struct):
    """Milliseconds. ``steps``: of each step that was reached. ``pair``: the events of the round trip."""

    steps: dict[str, list[float]] = msgspec.field(default_factory=dict)
    round_trips: list[float] = msgspec.field(default_factory=list)
    pair: str = ""


async def set_up(
    call: Call, times: int, round_trips: int, found: Setup, over: Callable[[Line], None]
) -> None:
    """Call ``times`` times; ask for round trips on the last call. ``found`` grows as figures come; ``over``
    gets each call at its end.

    Raises :class:`~vivavoz.measuring.endpoint.Trouble`, TimeoutError,
    :class:`~vivavoz.measuring.inbox.Ended`.
    """
    for number in range(times):
        async with call() as line:
            try:
                await _first_packet(line)
                for step, seconds in line.reached.items():
                    found.steps.setdefault(step, []).append(seconds * 1000)
                if number == times - 1:
                    await _round_trips(line, round_trips, found)
            finally:
                over(line)


async def _first_packet(line: Line) -> None:
    """Wait for it a while: some endpoints send nothing before they speak."""
    listener = line.listener
    if listener is None:
        return
    with contextlib.suppress(TimeoutError):
        line.reached["packet"] = (await listener.first(_FIRST_PACKET_S)).arrived - line.began


async def _round_trips(line: Line, count: int, found: Setup) -> None:
    pairs = {
        "conversation.item.create -> conversation.item.added": (_item, _ADDED),
        "session.update -> session.updated": (_update, ("session.updated",)),
    }
    for name, (send, answers) in pairs.items():
        try:
            for _ in range(count):
                began = time.time()
                send(line)
                at, _event = await line.inbox.wait_for(*answers, after=began, timeout_s=_ROUND_TRIP_S)
                found.round_trips.append((at - began) * 1000)
        except TimeoutError:
            if found.round_trips:
                raise
            continue
        found.pair = name
        return
    raise TimeoutError("neither conversation.item.create nor session.update was answered")


def _item(line: Line) -> None:
    content = [{"type": "input_text", "text": "ping"}]
    item = {"type": "message", "role": "user", "content": content}
    line.send({"type": "conversation.item.create", "item": item})


def _update(line: Line) -> None:
    line.send({"type": "session.update", "session": {"type": "realtime"}})
