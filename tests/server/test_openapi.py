"""The service describes itself, whole and truly."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.server.fakes import KEY, make_service, running
from vivavoz.config import Config, Server
from vivavoz.server.app import build_app
from vivavoz.wire.base import tag_of
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.server_events import ServerEvent

CONFIGS = {
    "plain": Config(default_engines="scripted"),
    "strict": Config(default_engines="scripted", server=Server(strict_azure=True)),
}


async def described(config: Config, **options: Any) -> Any:
    async with running(config, **options) as server, server.http.get(f"{server.url}/openapi.json") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        return await answer.json()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
async def test_the_document_is_valid(config: Config) -> None:
    document = await described(config)
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
async def test_every_route_is_in_it_and_nothing_else(config: Config) -> None:
    document = await described(config)
    told = {(method, path) for path, item in document["paths"].items() for method in item}
    app = build_app(make_service(config))
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert told == routes
    assert ("get", "/openapi.json") in told


@pytest.mark.parametrize(("name", "union"), [("ClientEvent", ClientEvent), ("ServerEvent", ServerEvent)])
async def test_every_event_is_in_it(name: str, union: Any) -> None:
    document = await described(CONFIGS["plain"])
    schemas = document["components"]["schemas"]
    assert set(schemas[name]["discriminator"]["mapping"]) == {tag_of(kind) for kind in get_args(union)}
    socket = document["paths"]["/v1/realtime"]["get"]["x-websocket"]
    assert {"$ref": f"#/components/schemas/{name}"} in socket.values()


async def test_what_only_we_have_is_marked() -> None:
    plain, strict = [await described(CONFIGS[name]) for name in CONFIGS]
    asked = plain["paths"]["/v1/realtime"]["get"]["parameters"]
    marked = {parameter["name"] for parameter in asked if parameter.get("x-vivavoz-extension")}
    assert marked == {"role", "after", "audio", "extras"}
    assert plain["paths"]["/v1/realtime/calls"]["get"]["x-vivavoz-extension"] is True
    assert plain["components"]["schemas"]["Grant"]["x-vivavoz-extension"] is True
    assert "x-vivavoz" not in msgspec.json.encode(strict["paths"]).decode()


async def test_a_key_is_asked_for_where_there_is_one() -> None:
    assert {} not in (await described(CONFIGS["plain"], keys=(KEY,)))["security"]
    assert {} in (await described(CONFIGS["plain"], keys=()))["security"]


async def test_nobody_elsewhere_is_told() -> None:
    async with running(CONFIGS["plain"], keys=()) as server:
        for headers in ({"Host": "example.com"}, {"Origin": "https://example.com"}):
            async with server.http.get(f"{server.url}/openapi.json", headers=headers) as answer:
                assert answer.status == 403
