"""What every test shares: the account of which embedded tests ran."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("vivavoz", deadline=None)
settings.load_profile("vivavoz")

_marked: set[str] = set()
"""Tests with the mark ``embedded``. Not by keyword: folder names are keywords too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _marked.update(item.nodeid for item in items if item.get_closest_marker("embedded") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests of the embedded models ran, and why the others did not."""
    ran = [
        report.nodeid
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and report.nodeid in _marked
    ]
    skipped = [report for report in terminalreporter.getreports("skipped") if report.nodeid in _marked]
    if not ran and not skipped:
        return
    terminalreporter.section("embedded engines")
    terminalreporter.line(f"{len(ran)} tests with real models ran, {len(skipped)} were skipped")
    for nodeid in ran:
        terminalreporter.line(f"  ran      {nodeid}")
    reasons = Counter(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in skipped
    )
    for reason, count in reasons.most_common():
        terminalreporter.line(f"  skipped  {count} x {reason}")
