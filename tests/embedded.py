"""The embedded engines, where a test wants them: there, or a reason to skip."""

from __future__ import annotations

import pytest

from vivavoz.models import ModelError, Store
from vivavoz.models.cli import DEFAULT_SET


def require_models() -> None:
    """Skips the test where the embedded engines cannot all be had, with the reason."""
    pytest.importorskip("xllamacpp", reason="the embedded engines are not installed")
    store = Store()
    for name in store.catalogue.sets[DEFAULT_SET]:
        try:
            store.locate(name)
        except ModelError as error:
            pytest.skip(error.message)
