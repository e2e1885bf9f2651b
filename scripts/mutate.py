"""Whether each field's test sees that the field is applied.

``python scripts/mutate.py [NAME...]``: for each field of docs/compatibility.toml that has a ``line`` (or
those whose name contains a NAME), the sources are copied, the line is replaced by what ``without`` says, and
the field's test alone is run. Ends with 1 where a test passes all the same, or cannot run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/compatibility.toml"
JOBS = 2
LIMIT_S = 120.0

PLAY = """
import sys
from pathlib import Path
from tests.scenarios.playbook import Mismatch, Player
try:
    Player(Path(sys.argv[1])).play()
except Mismatch:
    sys.exit(1)
except BaseException:
    sys.exit(3)
"""
"""A scenario needs no more: pytest would take longer to begin than it to play."""

PASSED, FAILED = 0, 1
"""Of a scenario and of pytest; anything else has not shown whether the field is applied."""


class Mutation(NamedTuple):
    """``test``: a scenario's name, or a test's id."""

    name: str
    test: str
    file: str
    line: str
    without: str

    def apply(self, root: Path) -> None:
        """Raises ValueError where the line is not there exactly once, SyntaxError where nothing can be read
        without it."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.line) != 1:
            raise ValueError(
                f"{self.name}: found {text.count(self.line)} times in {self.file}: {self.line!r}"
            )
        changed = text.replace(self.line, self.without)
        compile(changed, self.file, "exec")
        path.write_text(changed)


def mutations() -> Iterator[Mutation]:
    for heading, rows in tomllib.loads(TABLE.read_text()).items():
        for name, row in rows.items():
            if "line" in row:
                where = f"{heading.strip('`')}: {name}"
                yield Mutation(where, row["test"], row["file"], row["line"], row["without"])


def command(test: str) -> list[str]:
    """What runs one test of the table alone."""
    if "::" in test:
        return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    return [sys.executable, "-c", PLAY, f"tests/scenarios/{test}.txt"]


def outcome(test: str, sources: Path) -> int:
    """How the test ends. ``sources``: holds the package that it imports."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(sources), str(ROOT)))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        command(test), cwd=ROOT, env=environment, capture_output=True, timeout=LIMIT_S, check=False
    )
    return done.returncode


def without(mutation: Mutation) -> int:
    """How its test ends without the line."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        mutation.apply(root)
        return outcome(mutation.test, root / "src")


def main(wanted: list[str]) -> int:
    chosen = [each for each in mutations() if not wanted or any(name in each.name for name in wanted)]
    tests = sorted({each.test for each in chosen})
    with ThreadPoolExecutor(JOBS) as pool:
        sound = pool.map(lambda test: outcome(test, ROOT / "src"), tests)
        wrong = [f"fails with nothing changed: {test}" for test, end in zip(tests, sound, strict=True) if end]
        for each, end in zip(chosen, pool.map(without, chosen), strict=True):
            if end == PASSED:
                wrong.append(f"nobody misses {each.name}: {each.test} passes without {each.line!r}")
            elif end != FAILED:
                wrong.append(f"{each.name}: without {each.line!r} {each.test} cannot even run")
    print("\n".join([*wrong, f"{len(chosen)} fields, {len(wrong)} wrong"]))
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
