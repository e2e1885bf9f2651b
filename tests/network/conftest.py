"""The world: one service for all these tests, on a line that each of them makes good or bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .calling import Service
from .namespaces import lacking
from .world import World

ADDRESSES = ("198.51.100.1", "2001:db8::1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session")
def session_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Service]]:
    reason = lacking()
    if reason is not None:
        pytest.skip(reason)
    world = World(*ADDRESSES)
    try:
        with Service.started(world, tmp_path_factory.mktemp("network")) as service:
            yield world, service
    finally:
        world.close()


@pytest.fixture
def world(session_world: tuple[World, Service]) -> World:
    """The line, clean again."""
    world, service = session_world
    world.under()
    # A caller that a test before this one let vanish is noticed in 5 s.
    service.wait_for_calls(0)
    return world


@pytest.fixture
def service(session_world: tuple[World, Service]) -> Service:
    return session_world[1]
