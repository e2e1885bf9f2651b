"""Who waits for the list of calls to change."""

from __future__ import annotations

import asyncio

from tests.virtual_time import run_virtual
from vivavoz.call.listing import Listing


def test_whoever_waits_is_told_of_a_change_and_of_the_end() -> None:
    async def scene() -> None:
        listing = Listing()
        before = listing.version
        waiting = asyncio.ensure_future(listing.other_than(before))
        await asyncio.sleep(1)
        assert not waiting.done()
        listing.change()
        await waiting
        assert listing.version != before
        again = asyncio.ensure_future(listing.other_than(listing.version))
        await asyncio.sleep(1)
        assert not again.done()
        listing.end()
        await again
        await listing.other_than(listing.version)

    run_virtual(scene())
