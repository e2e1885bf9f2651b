"""What every test shares: the account of which embedded tests ran."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests of the embedded models ran, and why the others did not."""
    ran = [
        report.nodeid
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and "embedded" in report.keywords
    ]
    skipped = [report for report in terminalreporter.getreports("skipped") if "embedded" in report.keywords]
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
