"""A caller in a process of its own, to be killed: ``python -m faults.vanishing URL KEY``. It says ``audible``
when it hears the answer to its question."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.caller import Caller
from vivavoz.measuring.peer import Peers


async def main() -> None:
    caller = Caller(Peers(), sys.argv[1], sys.argv[2])
    await caller.connect()
    began = time.time()
    caller.ask("Tell me a long story.")
    await caller.listener.audible(after=began)
    print("audible", flush=True)
    await asyncio.sleep(60)


asyncio.run(main())
