"""Getting at the multilingual engines' packages."""

from __future__ import annotations

import importlib
from typing import Any

from vivavoz.engines.ports import EngineError

INSTALL = "pip install 'vivavoz[multilingual]'"


def require(module: str) -> Any:
    """Import one of the multilingual engines' packages. Raises EngineError (``engine_absent``)."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f"the package {module} is missing or does not load ({error}); install it with: {INSTALL}",
            "engine_absent",
        ) from error
