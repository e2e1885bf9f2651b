"""A name that a client gives is logged in one line, of bounded length, with nothing a terminal obeys."""

from __future__ import annotations

import pytest

from tests.call.test_call import play
from vivavoz.call.registry import CallRegistry


@pytest.mark.parametrize("model", ["a\n2026-01-01 ERROR forged", "a\x1b[2Jb", "a" * 10_000])
def test_a_models_name_cannot_forge_a_line(model: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(calls: CallRegistry) -> None:
        calls.open(None, model)

    with caplog.at_level("INFO", "vivavoz.call"):
        play(scene)
    lines = [record.getMessage() for record in caplog.records if "begins" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert len(lines[0]) < 250
