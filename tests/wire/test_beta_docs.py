"""docs/beta.md names what the tables name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoz.wire.beta.tables import RESPONSE, SERVER_EVENTS, SESSION, TRANSCRIPTION_SESSION

DOCS = (Path(__file__).parents[2] / "docs" / "beta.md").read_text()


@pytest.mark.parametrize("name", sorted({m.beta for m in (*SESSION, *RESPONSE, *TRANSCRIPTION_SESSION)}))
def test_every_member_is_there(name: str) -> None:
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize(("ga", "beta"), [pair for pair in SERVER_EVENTS.items() if pair[0] != pair[1]])
def test_every_event_with_another_name_or_none_is_there(ga: str, beta: str | None) -> None:
    for name in (ga, beta):
        if name is not None:
            family = name.rpartition(".")[0]
            shown = (f"`{name}`", f"`{family}.delta`, `.done`", f"`{family}.*`")
            assert any(form in DOCS for form in shown), f"{name} is missing"
