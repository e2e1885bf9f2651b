"""Getting at the optional packages and the model files, with errors that say what mends them."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from vivavoz.engines.ports import EngineError

INSTALL = "pip install 'vivavoz[embedded]'"


def require(module: str) -> Any:
    """Import one of the embedded engines' packages. Raises EngineError (``engine_absent``)."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f"the package {module} is missing or does not load ({error}); install it with: {INSTALL}",
            "engine_absent",
        ) from error


def onnx_session(path: Path | str, threads: int = 1) -> Any:
    """An ONNX session on the CPU with so many threads, quiet. Raises EngineError."""
    ort = require("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would take the core from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, unrelated types
        raise EngineError(f"{Path(path).name} does not load: {error}", "engine_failed") from error


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
