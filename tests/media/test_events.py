"""The event channel over a network that delays, loses and reorders, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters

from virtual_time import run_virtual
from vivavoz.media.association import ChannelError
from vivavoz.media.events import EventChannel


class Pair:
    """Two ends; every packet takes 20 to 60 ms or is lost."""

    def __init__(self, *, loss: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.got: tuple[list[str | bytes], list[str | bytes]] = ([], [])
        self.closed = [0, 0]
        self.opened = [0, 0]
        self._random = random.Random(seed)
        self.ends = (self._end(0), self._end(1))

    def _end(self, side: int) -> EventChannel:
        def opened() -> None:
            self.opened[side] += 1

        def closed() -> None:
            self.closed[side] += 1

        return EventChannel(
            client=side == 0,
            remote_port=5000,
            transmit=self._wire(1 - side),
            on_open=opened,
            on_message=self._take(side),
            on_closed=closed,
            max_message=1 << 20,
            max_buffered=1 << 22,
        )

    def _take(self, side: int) -> Callable[[str | bytes], None]:
        def take(message: str | bytes) -> None:
            self.got[side].append(message)

        return take

    def _wire(self, to: int) -> Callable[[bytes], None]:
        def transmit(data: bytes) -> None:
            if self._random.random() >= self.loss:
                delay = self._random.uniform(0.02, 0.06)
                asyncio.get_running_loop().call_later(delay, lambda: self.ends[to].receive(data))

        return transmit

    async def open(self) -> None:
        """The client's end announces a channel."""
        for end in self.ends:
            end.start()
        association = self.ends[1]._association
        channel = RTCDataChannel(association, RTCDataChannelParameters(label="any name"))
        channel.on("open", lambda: self.ends[1].opened(channel))
        await self.until(lambda: sum(self.opened) == 2)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():  # the pair itself tells nobody; its clock is virtual
            await asyncio.sleep(0.01)
            for end in self.ends:
                end.acknowledge()

    def close(self) -> None:
        for end in self.ends:
            end.close()


@pytest.mark.parametrize(("loss", "seed"), [(0.0, 1), (0.05, 2), (0.2, 3), (0.2, 4)])
def test_messages_arrive_once_and_in_order(loss: float, seed: int) -> None:
    async def scenario() -> None:
        pair = Pair(loss=loss, seed=seed)
        await pair.open()
        sent: tuple[list[str], list[str]] = ([], [])
        for number in range(60):
            for side in (0, 1):
                text = f"{number} " + "é" * pair._random.choice([0, 10, 700, 9000])
                sent[1 - side].append(text)
                assert pair.ends[side].send(text)
            await asyncio.sleep(0.05)
        await pair.until(lambda: [len(got) for got in pair.got] == [60, 60])
        assert pair.got == sent
        assert [end.buffered for end in pair.ends] == [0, 0]
        pair.close()

    run_virtual(scenario(), limit_s=600)


def test_a_lost_message_is_repeated_within_a_second() -> None:
    async def scenario() -> float:
        pair = Pair()
        await pair.open()
        await asyncio.sleep(1)
        pair.loss = 1.0
        began = asyncio.get_running_loop().time()
        assert pair.ends[0].send("lost at first")
        await asyncio.sleep(0.001)
        pair.loss = 0.0
        await pair.until(lambda: pair.got[1])
        pair.close()
        return asyncio.get_running_loop().time() - began

    assert run_virtual(scenario(), limit_s=600) < 1.0


def test_empty_and_binary_messages_keep_their_kind() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        assert pair.ends[0].send("")
        assert pair.ends[0].send("text")
        main = pair.ends[1]._main
        assert main is not None
        for data in (b"", b"\xff\x00", "", "text"):
            main.send(data)
        await pair.until(lambda: [len(got) for got in pair.got] == [4, 2])
        assert pair.got == ([b"", b"\xff\x00", "", "text"], ["", "text"])
        pair.close()

    run_virtual(scenario(), limit_s=600)


def test_the_peer_closing_the_channel_is_told_once() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        main = pair.ends[1]._main
        assert main is not None
        main.close()
        await pair.until(lambda: pair.closed[0])
        assert not pair.ends[0].send("too late")
        await asyncio.sleep(5)
        assert pair.closed[0] == 1
        pair.close()

    run_virtual(scenario(), limit_s=600)


def test_the_peer_leaving_is_told_and_our_own_close_is_not() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        pair.ends[1].close()
        await pair.until(lambda: pair.closed[0])
        assert pair.closed == [1, 0]
        pair.ends[0].close()

    run_virtual(scenario(), limit_s=600)


def test_a_peer_that_takes_nothing_holds_the_writer_back_and_loses_nothing() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        pair.loss = 1.0
        text = "x" * 100_000
        accepted = 0
        while pair.ends[0].send(f"{accepted} {text}"):
            accepted += 1
        assert 41 <= accepted <= 43
        assert 4_000_000 <= pair.ends[0].buffered <= 1 << 22
        in_flight = pair.ends[0]._association._flight_size
        assert in_flight < 100_000
        await asyncio.sleep(1)
        assert not pair.ends[0].send(text)
        pair.loss = 0.0
        await pair.until(lambda: len(pair.got[1]) == accepted)
        assert pair.got[1] == [f"{number} {text}" for number in range(accepted)]
        assert pair.ends[0].send("room again")
        await pair.until(lambda: pair.got[1][-1] == "room again")
        assert pair.ends[0].buffered == 0
        pair.close()

    run_virtual(scenario(), limit_s=600)


def test_what_leaves_fits_the_smallest_path_of_ipv6() -> None:
    """SCTP packets, which DTLS makes 37 bytes longer at most, UDP and IPv6 48: 1280 in all."""

    async def scenario() -> None:
        pair = Pair()
        sizes: list[int] = []
        for end in pair.ends:
            lower = end._association.transport
            transmit = lower._transmit  # type: ignore[attr-defined]

            def measured(data: bytes, send: Callable[[bytes], None] = transmit) -> None:
                sizes.append(len(data))
                send(data)

            lower._transmit = measured  # type: ignore[attr-defined]
        await pair.open()
        pair.loss = 0.05
        assert pair.ends[0].send("y" * 200_000)
        assert pair.ends[1].send("z" * 200_000)
        await pair.until(lambda: all(pair.got))
        pair.close()
        assert 1100 < max(sizes) <= 1280 - 48 - 37

    run_virtual(scenario(), limit_s=600)


def another(pair: Pair, label: str, **parameters: Any) -> RTCDataChannel:
    """One more channel that the client opens."""
    association = pair.ends[1]._association
    return RTCDataChannel(association, RTCDataChannelParameters(label=label, **parameters))


def test_all_channels_are_heard_and_the_first_is_answered() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        main, second = pair.ends[1]._main, another(pair, "notes")
        assert main is not None
        await asyncio.sleep(1)
        second.send("on the second")
        await pair.until(lambda: pair.got[0])
        main.send("on the first")
        await pair.until(lambda: len(pair.got[0]) == 2)
        heard: list[str] = []
        pair.ends[1]._association._data_channel_receive = _by_stream(pair, heard)  # type: ignore[method-assign]
        assert pair.ends[0].send("an answer")
        await pair.until(lambda: pair.got[1])
        assert heard == [main.id]
        second.close()
        await asyncio.sleep(2)
        assert pair.closed == [0, 0]
        assert pair.ends[0].send("the first is open still")
        await pair.until(lambda: len(pair.got[1]) == 2)
        main.close()
        await pair.until(lambda: pair.closed[0])
        pair.close()

    run_virtual(scenario(), limit_s=600)


def _by_stream(pair: Pair, heard: list[Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    receive = pair.ends[1]._association._data_channel_receive

    async def received(stream_id: int, pp_id: int, data: bytes) -> None:
        heard.append(stream_id)
        await receive(stream_id, pp_id, data)

    return received


def test_a_channel_without_order_loses_nothing() -> None:
    """A client may open its only channel so; each event is whole whatever the network does."""

    async def scenario() -> None:
        pair = Pair(loss=0.1, seed=5)
        for end in pair.ends:
            end.start()
        channel = another(pair, "oai-events", ordered=False)
        channel.on("open", lambda: pair.ends[1].opened(channel))
        await pair.until(lambda: sum(pair.opened) == 2)
        sent: tuple[list[str], list[str]] = ([], [])
        for number in range(40):
            text = f"{number} " + "x" * (number % 3 * 2000)
            for side in (0, 1):
                sent[1 - side].append(text)
                assert pair.ends[side].send(text)
            await asyncio.sleep(0.03)
        await pair.until(lambda: [len(got) for got in pair.got] == [40, 40])
        assert [sorted(map(str, got)) for got in pair.got] == [sorted(each) for each in sent]
        pair.close()

    run_virtual(scenario(), limit_s=600)


class Counted:
    """Packets that one end of a pair sends from now on."""

    def __init__(self, end: EventChannel) -> None:
        self.sent = self.longest = 0
        lower: Any = end._association.transport
        self._transmit, lower._transmit = lower._transmit, self._count

    def _count(self, data: bytes) -> None:
        self.sent += 1
        self.longest = max(self.longest, len(data))
        self._transmit(data)


def outstanding(end: EventChannel) -> int:
    """Chunks that the peer has not acknowledged."""
    return len(end._association._sent_queue)


async def arrival() -> None:
    """A packet is there after 60 ms at most."""
    await asyncio.sleep(0.061)


def test_an_answer_carries_the_acknowledgement() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        await pair.until(lambda: not any(map(outstanding, pair.ends)))
        counted = Counted(pair.ends[0])
        pair.ends[1].send("question")
        await arrival()
        assert (pair.got[0], counted.sent, outstanding(pair.ends[1])) == (["question"], 0, 1)
        pair.ends[0].send("answer")
        await arrival()
        assert (pair.got[1], counted.sent, outstanding(pair.ends[1])) == (["answer"], 1, 0)
        pair.close()

    run_virtual(scenario())


def test_an_acknowledgement_waits_for_the_next_packet_or_until_asked_for() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        await pair.until(lambda: not any(map(outstanding, pair.ends)))
        counted = Counted(pair.ends[0])
        for number in range(2):
            pair.ends[1].send(f"{number}")
            await arrival()
        assert counted.sent == 1  # RFC 9260 section 6.2: at least every second packet
        await arrival()
        assert not outstanding(pair.ends[1])
        pair.ends[1].send("one more")
        await arrival()
        assert counted.sent == 1
        pair.ends[0].acknowledge()
        pair.ends[0].acknowledge()
        await arrival()
        assert (counted.sent, outstanding(pair.ends[1])) == (2, 0)
        pair.close()

    run_virtual(scenario())


def test_what_leaves_no_room_for_an_acknowledgement_goes_without() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        await pair.until(lambda: not any(map(outstanding, pair.ends)))
        counted = Counted(pair.ends[0])
        pair.ends[1].send("question")
        await arrival()
        pair.ends[0].send("x" * 5000)
        await pair.until(lambda: pair.got[1])
        assert pair.got[1] == ["x" * 5000]
        assert counted.longest <= 1189  # what fits DTLS on a path of 1280
        pair.close()

    run_virtual(scenario())


def test_a_client_that_acknowledges_nothing_costs_a_packet_now_and_then() -> None:
    """Ten minutes of it: the outbox fills, says so, and what is repeated does not grow."""

    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        pair.loss = 1.0
        counted = Counted(pair.ends[0])
        while pair.ends[0].send("x" * 50_000):
            pass
        for _ in range(600):
            await asyncio.sleep(1)
            assert not pair.ends[0].send("x" * 200_000)
            assert pair.ends[0].buffered <= 1 << 22
        assert 100 < counted.sent < 600 * 4
        pair.close()

    run_virtual(scenario(), limit_s=1200)


def test_channels_are_counted() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.open()
        association = pair.ends[1]._association
        for number in range(100):
            RTCDataChannel(association, RTCDataChannelParameters(label=str(number)))
        with pytest.raises(ChannelError, match="too many streams"):
            await _errors(pair)
        assert len(pair.ends[0]._association._data_channels) <= 16
        pair.close()

    run_virtual(scenario(), limit_s=600)


async def _errors(pair: Pair) -> None:
    """What the first end raises of what it receives in the next 5 s."""
    errors: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    await asyncio.sleep(5)
    for error in errors:
        raise error
