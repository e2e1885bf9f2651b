from __future__ import annotations

import pytest

from vivavoz.app.recordings import recorder


@pytest.fixture(autouse=True)
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer looks more often, so that nobody waits for it."""
    monkeypatch.setattr(recorder, "ROUND_S", 0.02)
