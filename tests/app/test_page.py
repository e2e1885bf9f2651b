"""The page's files, as the service serves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.fakes import running
from vivavoz.app.page import TYPES, page_routes, web_root


async def test_the_page_and_all_its_files_come_with_strict_headers() -> None:
    async with running(extra=page_routes()) as server:
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
    async with running(extra=page_routes(tmp_path)) as server:
        for each in (path, "/notes.py"):
            async with server.http.get(server.url + each) as answer:
                assert answer.status == 404
                assert (await answer.json())["error"]["code"] == "unknown_url"


async def test_a_package_may_be_without_a_page(tmp_path: Path) -> None:
    assert page_routes(tmp_path) == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080"])
async def test_a_rebound_name_gets_no_page(host: str) -> None:
    async with (
        running(keys=(), extra=page_routes()) as server,
        server.http.get(server.url + "/", headers={"Host": host}) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize(
    ("offers_to", "allowed"),
    [
        (None, "connect-src 'self'"),
        ("/v1/realtime/calls", "connect-src 'self'"),
        (
            "https://a.openai.azure.com/openai/v1/realtime/calls",
            "connect-src 'self' https://a.openai.azure.com",
        ),
        ("http://127.0.0.1:9000/v1/realtime/calls", "connect-src 'self' http://127.0.0.1:9000"),
    ],
)
async def test_the_page_may_reach_the_upstream_and_nobody_else(offers_to: str | None, allowed: str) -> None:
    async with (
        running(keys=(), extra=page_routes(offers_to=offers_to)) as server,
        server.http.get(server.url + "/") as answer,
    ):
        directives = [part.strip() for part in answer.headers["Content-Security-Policy"].split(";")]
        assert allowed in directives
        assert "script-src 'self'" in directives
