"""The page's files and its token, as the service serves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.server.fakes import KEY, running
from vivavoz.app.page import TYPES, page_routes, web_root
from vivavoz.app.token import TokenRoute
from vivavoz.server.client_secrets import mint


def routes(*, open_to_all: bool, root: Path | None = None) -> list[web.RouteDef]:
    from vivavoz.server.service import SERVICE

    async def mint_here(request: web.Request, body: bytes) -> Any:
        return await mint(request.app[SERVICE], request, body)

    return page_routes(TokenRoute(mint_here, lambda: [{"task": "llm"}], open_to_all=open_to_all), root)


async def test_the_page_and_all_its_files_come_with_strict_headers() -> None:
    async with running(extra=routes(open_to_all=True)) as server:
        shipped = [path for path in web_root().rglob("*") if path.is_file() and path.suffix in TYPES]
        assert len(shipped) > 3
        paths = ["", *(path.relative_to(web_root()).as_posix() for path in shipped)]
        for path in paths:
            async with server.http.get(f"{server.url}/{path}") as answer:
                assert answer.status == 200
                expected = TYPES[Path(path or "index.html").suffix]
                assert answer.content_type == expected
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "http" not in policy
                assert answer.headers["Cache-Control"] == "no-cache"


async def test_the_page_names_nothing_from_other_hosts() -> None:
    for path in web_root().rglob("*"):
        if path.suffix in (".html", ".js", ".css"):
            text = path.read_text()
            assert 'src="http' not in text
            assert 'from "http' not in text
            assert "url(http" not in text


@pytest.mark.parametrize(
    "path", ["/../config.py", "/%2e%2e/token.py", "/.hidden", "/nothing.js", "//etc/passwd"]
)
async def test_nothing_else_is_served(path: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "notes.py").write_text("secret")
    async with running(extra=routes(open_to_all=True, root=tmp_path)) as server:
        for each in (path, "/notes.py"):
            async with server.http.get(server.url + each) as answer:
                assert answer.status == 404
                assert (await answer.json())["error"]["code"] == "unknown_url"


async def test_a_package_without_a_page_has_no_token_either(tmp_path: Path) -> None:
    assert routes(open_to_all=True, root=tmp_path) == []


async def test_a_token_for_the_page() -> None:
    async with running(keys=(), extra=routes(open_to_all=True)) as server:
        async with server.http.get(server.url + "/token") as answer:
            body = await answer.json()
            assert answer.headers["Cache-Control"] == "no-store"
        assert body["token"].startswith("ek_")
        assert (body["model"], body["status"]) == ("gpt-realtime", [{"task": "llm"}])
        headers = {"Authorization": f"Bearer {body['token']}"}
        async with server.http.ws_connect(server.url + "/v1/realtime", headers=headers) as websocket:
            await websocket.receive_str()


async def test_with_a_key_strangers_get_none() -> None:
    async with running(extra=routes(open_to_all=False)) as server:
        async with server.http.get(server.url + "/token") as answer:
            assert answer.status == 401
            assert (await answer.json())["error"]["code"] == "key_required"
        # The page itself mints with the key that its user enters.
        async with server.http.post(
            server.url + "/openai/v1/realtime/client_secrets", headers={"Authorization": f"Bearer {KEY}"}
        ) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)]
)
async def test_pages_elsewhere_make_no_tokens(site: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site}
    async with (
        running(keys=(), extra=routes(open_to_all=True)) as server,
        server.http.get(server.url + "/token", headers=headers) as answer,
    ):
        assert answer.status == status


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080"])
async def test_a_rebound_name_gets_neither_page_nor_token(host: str) -> None:
    async with running(keys=(), extra=routes(open_to_all=True)) as server:
        for path in ("/", "/token"):
            async with server.http.get(server.url + path, headers={"Host": host}) as answer:
                assert answer.status == 403
