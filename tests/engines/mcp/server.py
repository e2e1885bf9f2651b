"""A real MCP server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Quiet(uvicorn.Server):
    """Leaves the signals to the test runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Maths:
    """What the server was asked, and how it can be asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: list[dict[str, str]] = []

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"


def _tools(maths: Maths) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("maths", log_level="ERROR")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True), structured_output=False)
    def add(a: int, b: int, ctx: Context) -> str:
        """Adds two numbers."""
        maths.headers.append(dict(ctx.request_context.request.headers))
        return str(a + b)

    @server.tool(structured_output=False)
    def divide(a: int, b: int) -> str:
        """Divides two numbers."""
        if b == 0:
            raise ToolError("division by zero")
        return str(a / b)

    @server.tool(structured_output=False)
    def shout(length: int) -> str:
        return "a" * length

    @server.tool(structured_output=False)
    async def sleep() -> str:
        await asyncio.Event().wait()
        return ""

    @server.custom_route("/elsewhere/{port}", methods=["POST", "GET"])
    async def elsewhere(request: Request) -> Response:
        return RedirectResponse(f"http://127.0.0.1:{request.path_params['port']}/mcp", status_code=307)

    @server.custom_route("/away", methods=["POST", "GET"])
    async def away(request: Request) -> Response:
        return RedirectResponse("http://169.254.169.254/latest", status_code=307)

    @server.custom_route("/here", methods=["POST", "GET"])
    async def here(request: Request) -> Response:
        return RedirectResponse("/mcp", status_code=307)

    @server.custom_route("/forbidden", methods=["POST", "GET"])
    async def forbidden(request: Request) -> Response:
        return PlainTextResponse("a secret reason", status_code=403)

    @server.custom_route("/flood", methods=["POST", "GET"])
    async def flood(request: Request) -> Response:
        return Response(bytes(5 * 2**20), media_type="application/json")

    return server


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Maths]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        maths = Maths(f"http://127.0.0.1:{listening.getsockname()[1]}")
        app = _tools(maths).streamable_http_app()
        server = Quiet(uvicorn.Config(app, log_config=None, lifespan="on"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield maths
        finally:
            server.should_exit = server.force_exit = True
            await task
