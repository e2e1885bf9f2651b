"""What every test shares: the account of which embedded tests ran, and which tests had a second try."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("vivavoz", deadline=None)
settings.load_profile("vivavoz")

_marked: set[str] = set()
"""Tests with the mark ``embedded``. Not by keyword: folder names are keywords too."""


_REAL = (
    "tests/app/",
    "tests/browser/",
    "tests/cluster/",
    "tests/conformance/",
    "tests/engines/process/",
    "tests/examples/",
    "tests/faults/",
    "tests/measuring/",
    "tests/media/test_chromium",
    "tests/media/test_ipv6",
    "tests/media/test_loopback",
    "tests/media/test_tcp",
    "tests/network/",
    "tests/recordings/",
    "tests/server/",
    "tests/test_children",
    "tests/test_serve",
    "tests/testing/",
)
"""Where clocks, processes, sockets and browsers are real."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A model that samples says something else every time, and a machine shared with strangers can stop for
    a second: such a test has a second try, and the closing lines say which needed it and why. What runs in
    virtual time has none."""
    for item in items:
        if item.get_closest_marker("embedded") is not None:
            _marked.add(item.nodeid)
        if item.nodeid in _marked or item.nodeid.startswith(_REAL):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _tell_second_tries(terminalreporter)
    _tell_embedded(terminalreporter)


def _tell_second_tries(terminalreporter: pytest.TerminalReporter) -> None:
    """What failed once is not hidden: a test that stands here often is wrong, or has found something."""
    again = terminalreporter.getreports("rerun")
    if not again:
        return
    terminalreporter.section("second tries")
    for report in again:
        terminalreporter.line(f"  {report.nodeid}: {_last_line(report.longreprtext)}")


def _last_line(text: str) -> str:
    reasons = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return (reasons or text.splitlines() or [""])[0][:200]


def _tell_embedded(terminalreporter: pytest.TerminalReporter) -> None:
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
