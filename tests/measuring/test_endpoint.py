"""Where an endpoint is, who is let near it, and what its refusals are called."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from measuring.fake import Fake
from vivavoz.measuring import endpoint as module
from vivavoz.measuring.endpoint import Endpoint, Trouble, is_near, own_addresses
from vivavoz.measuring.report import Report
from vivavoz.measuring.run import Plan, measure

OFFER = "v=0\r\n"


@pytest.mark.parametrize(
    ("url", "azure", "shown"),
    [
        ("http://127.0.0.1:8080", False, "http://127.0.0.1:8080/v1"),
        ("127.0.0.1:8080", False, "http://127.0.0.1:8080/v1"),
        ("ws://localhost:1/v1/realtime?model=x", False, "http://localhost:1/v1"),
        ("https://user:secret@host/", True, "https://host/openai/v1"),
        ("https://host/proxy/v1/", True, "https://host/proxy/v1"),
        ("http://[::1]:8080", False, "http://[::1]:8080/v1"),
    ],
)
def test_a_url_with_or_without_the_path(url: str, azure: bool, shown: str) -> None:
    assert Endpoint(url, model="m", azure=azure).shown == shown


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Trouble, match="URL"):
        Endpoint(url, model="m")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "fd00::1"])
def test_near(address: str) -> None:
    assert is_near(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "nonsense"])
def test_far(address: str) -> None:
    assert not is_near(address)


def test_loopback_is_offered_first_to_what_is_on_this_machine() -> None:
    assert own_addresses("127.0.0.1")[0] == "127.0.0.1"
    assert own_addresses("::1")[0] == "127.0.0.1"


async def test_what_is_far_is_refused_with_the_reason_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def addresses(self: Endpoint) -> list[str]:
        return ["10.0.0.1", "8.8.8.8"]  # one near address is not enough

    monkeypatch.setattr(Endpoint, "addresses", addresses)
    endpoint = Endpoint("https://far.example", model="m", key="sk-1")
    plan = Plan(("webrtc", "websocket"), 1, 1, 1, 1, 1, 500)
    report = Report(endpoint.shown, "1")
    with pytest.raises(Trouble, match=r"cost money.*--yes-remote"):
        await measure(endpoint, plan, report, lambda _: None)
    assert not report.measured


async def test_a_host_without_an_address() -> None:
    with pytest.raises(Trouble, match="has no address"):
        await Endpoint("http://nowhere.invalid", model="m").addresses()


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (Fake(key="right"), "POST /realtime/calls: 401: the key is missing or wrong"),
        (Fake(calls=404), "POST /realtime/calls: 404: there is nothing at this path: no such thing"),
        (Fake(calls=429), "POST /realtime/calls: 429: the endpoint is full"),
        (Fake(calls=500), "POST /realtime/calls: 500: no such thing"),
        (Fake(hang=True), "POST /realtime/calls: no answer within 0.3 s"),
    ],
)
async def test_refused_offers_are_named(fake: Fake, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HTTP_S", 0.3)
    async with fake.served(), Endpoint(fake.url, model="m", key="sk-wrong").opened() as endpoint:
        with pytest.raises(Trouble) as caught:
            await endpoint.answer(OFFER, None)
    assert str(caught.value).startswith(said)
    assert "sk-wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (Fake(key="right"), "WebSocket /realtime: 401: the key is missing or wrong"),
        (Fake(hang=True), "WebSocket /realtime: no answer within 0.3 s"),
    ],
)
async def test_refused_websockets_are_named(fake: Fake, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HTTP_S", 0.3)
    async with fake.served(), Endpoint(fake.url, model="m", key="sk-wrong").opened() as endpoint:
        with pytest.raises(Trouble) as caught:
            await endpoint.websocket()
    assert str(caught.value) == said


async def test_an_answer_in_pieces_is_read_whole() -> None:
    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(OFFER.encode())
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 8\r\nConnection: close\r\n\r\n")
        for piece in (b"the ", b"end."):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # so that they come one by one
        writer.close()

    server = await asyncio.start_server(in_pieces, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Endpoint(url, model="m").opened() as endpoint:
            assert await endpoint.answer(OFFER, None) == "the end."


async def test_a_refused_connection_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with Endpoint(url, model="m").opened() as endpoint:
            for ask in (endpoint.answer(OFFER, None), endpoint.websocket()):
                with pytest.raises(Trouble, match="no connection"):
                    await ask


@pytest.mark.parametrize(
    ("azure", "paths", "shown"),
    [
        (False, ["/v1/realtime/calls"], ["Bearer sk-1"]),
        (
            True,
            ["/openai/v1/realtime/client_secrets", "/openai/v1/realtime/calls"],
            ["sk-1", "Bearer ek_for_one_call"],
        ),
    ],
)
async def test_azure_calls_are_made_with_a_client_secret(
    azure: bool, paths: list[str], shown: list[str]
) -> None:
    fake = Fake(calls=201, answer="the answer")
    async with fake.served(), Endpoint(fake.url, model="m", key="sk-1", azure=azure).opened() as endpoint:
        answer: Any = await endpoint.answer(OFFER, await endpoint.secret())
    assert answer == "the answer"
    assert (fake.paths, fake.authorizations) == (paths, shown)
