"""Running the application: on a socket behind a worker, or on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from vivavoz.app.errors import SetupError
from vivavoz.app.observer.part import Observation
from vivavoz.app.observer.tools import ToolsError
from vivavoz.app.page import page_routes
from vivavoz.app.plan import Plan
from vivavoz.app.recordings.part import Records
from vivavoz.app.service import Application, build, build_app

log = logging.getLogger("vivavoz.app")

_SHUTDOWN_S = 2.0
"""How long connections may take to end."""


def run_in_loop(main: Coroutine[Any, Any, None]) -> None:
    """``asyncio.run`` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def run(
    plan: Plan,
    ending: asyncio.Event,
    listening: Callable[[], None],
    context: ssl.SSLContext | None = None,
) -> None:
    """Serve until ``ending``; ``listening`` is called once it answers. ``context``: for HTTPS on the port.
    Raises SetupError."""
    # It writes requests that are no HTTP down as they came, with keys that may be in them.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    application = build(plan)
    async with _observing(application, plan):
        page = page_routes(offers_to=application.upstream.browser_url) if plan.page else ()
        runner = web.AppRunner(build_app(application, page), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await _listen(runner, plan, context)
            listening()
            await ending.wait()
        finally:
            await runner.cleanup()
    log.info("application: ended")


@contextlib.asynccontextmanager
async def _observing(application: Application, plan: Plan) -> AsyncIterator[None]:
    """Have calls observed and remembered, and recorded where that is configured. Raises SetupError."""
    if not plan.app.observe:
        yield
        return
    records = Records(plan.app.recordings, application.access, Path(plan.state_dir))
    await records.open()
    try:
        observation = Observation(application, store=records.store, recorder=records.recorder)
        application.recordings = plan.app.recordings.enabled or any(
            profile.record for profile in application.profiles
        )
        application.parts += [records, observation]
        yield
    except ToolsError as error:
        raise SetupError(f"app.profiles: {error}") from None
    finally:
        await records.close()


async def _listen(runner: web.AppRunner, plan: Plan, context: ssl.SSLContext | None) -> None:
    if plan.socket is not None:
        # In a folder of mode 0700: only this user's processes can connect.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(plan.socket)
        await web.UnixSite(runner, plan.socket).start()
        return
    try:
        await web.TCPSite(runner, plan.host, plan.port, ssl_context=context).start()
    except OSError as error:
        problem = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise SetupError(f"cannot listen on {plan.host}, TCP port {plan.port}: {problem}") from error
