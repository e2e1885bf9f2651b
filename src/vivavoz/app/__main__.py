"""The application as a process of its own, beside the workers of a service: ``python -m vivavoz.app``.

Its plan comes on the standard input. The end of that pipe means that the parent is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import msgspec

from vivavoz.app.errors import SetupError
from vivavoz.app.logs import set_up_logging
from vivavoz.app.plan import Plan
from vivavoz.app.running import run, run_in_loop

log = logging.getLogger("vivavoz.app")

CANNOT_START = 2


async def _main() -> None:
    plan = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.readline), type=Plan)
    set_up_logging(plan.log_level, "app")
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    # A worker's media keeps time; what is here can wait.
    os.nice(5)
    async with asyncio.TaskGroup() as group:
        orphaned = group.create_task(_watch_parent(ending))
        await run(plan, ending, lambda: print("listening", flush=True))  # noqa: T201 - read by the parent
        orphaned.cancel()


async def _watch_parent(ending: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    log.warning("the service is gone: ending")
    ending.set()


if __name__ == "__main__":
    try:
        run_in_loop(_main())
    except* SetupError as group:
        logging.getLogger("vivavoz.app").error("%s", "; ".join(map(str, group.exceptions)))
        sys.exit(CANNOT_START)
