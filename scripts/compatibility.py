"""Writes the tables of docs/compatibility.md from docs/compatibility.toml.

``python scripts/compatibility.py``; the suite fails while the page says something else than the file.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/compatibility.toml"
PAGE = ROOT / "docs/compatibility.md"

Rows = dict[str, dict[str, Any]]


def table(heading: str, rows: Rows) -> str:
    what = "event" if heading.endswith("events") else "member"
    lines = [f"| {what} | state | remarks | proof |", "| --- | --- | --- | --- |"]
    for name, row in rows.items():
        cells = [f"`{name}`", row["state"], row.get("remarks", ""), proof(row.get("test"))]
        lines.append("| " + " | ".join(cell or " " for cell in cells).replace("|   |", "| |") + " |")
    return "\n".join(lines).replace("|   |", "| |")


def proof(test: str | None) -> str:
    if test is None:
        return ""
    path = test.partition("::")[0] if "::" in test else f"tests/scenarios/{test}.txt"
    return f"[{'test' if '::' in test else 'scenario'}](../{path})"


def page(text: str, data: dict[str, Rows]) -> str:
    """The page with its tables as they should be. Raises ValueError where one is missing."""
    for heading, rows in data.items():
        before, found, section = text.partition(f"\n## {heading}\n\n")
        old, end, after = section.partition("\n\n")
        if not found or not end or not old.startswith("| "):
            raise ValueError(f"docs/compatibility.md has no table right after '## {heading}'")
        text = f"{before}{found}{table(heading, rows)}{end}{after}"
    return text


def main() -> int:
    PAGE.write_text(page(PAGE.read_text(), tomllib.loads(TABLE.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
