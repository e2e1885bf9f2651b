"""The arrows between the rings must fail when somebody breaks them, not only pass when nobody does."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RINGS = (
    "wire",
    "session",
    "media",
    "models",
    "engines",
    "transports",
    "call",
    "server",
    "cluster",
    "telemetry",
    "app",
    "testing",
    "config",
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def rings(tmp_path: Path) -> Path:
    """A project of the same shape as ours, empty, under our contracts."""
    (tmp_path / ".importlinter").write_text((ROOT / ".importlinter").read_text())
    for ring in RINGS:
        package = tmp_path / "vivavoz" / ring
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
    (tmp_path / "vivavoz/__init__.py").write_text("")
    for module in ("engines/ports.py", "engines/spec.py", "app/config.py"):
        (tmp_path / "vivavoz" / module).write_text("")
    return tmp_path


def test_every_ring_of_the_package_has_a_contract() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    bound = {contracts[s]["package"] for s in contracts.sections() if "package" in contracts[s]}
    assert bound == {
        f"vivavoz.{p.name}" for p in (ROOT / "src/vivavoz").iterdir() if (p / "__init__.py").exists()
    }


def test_empty_rings_pass(rings: Path) -> None:
    done = lint(rings)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("ring", "line"),
    [
        ("wire", "import aiohttp"),
        ("wire", "from vivavoz import session"),
        ("session", "import asyncio"),
        ("session", "import time"),
        ("session", "from random import random"),
        ("session", "import uuid"),
        ("session", "import logging"),
        ("session", "import numpy"),
        ("session", "import vivavoz.engines.ports"),
        ("media", "import vivavoz.session"),
        ("engines", "import vivavoz.call"),
        ("engines", "import vivavoz.transports"),
        ("transports", "from vivavoz.session import x"),
        ("call", "import vivavoz.server"),
        ("server", "import vivavoz.session"),
        ("server", "import vivavoz.app"),
        ("cluster", "import vivavoz.call"),
        ("telemetry", "import vivavoz.session"),
        ("config", "import vivavoz.call"),
        ("config", "import vivavoz.app.service"),
        ("app", "import vivavoz.config"),
        ("app", "import vivavoz.call"),
        ("app", "def late():\n    from vivavoz import server"),
    ],
)
def test_a_forbidden_import_fails(rings: Path, ring: str, line: str) -> None:
    (rings / "vivavoz" / ring / "guilty.py").write_text(line + "\n")
    done = lint(rings)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"vivavoz.{ring}.guilty must not import" in done.stdout
