"""A failure names the run that found it."""

from __future__ import annotations

from tests.fuzz.amount import EVENTS, SEED


def pytest_report_header() -> str:
    return f"fuzz: {EVENTS} events; again with VIVAVOZ_FUZZ={EVENTS} VIVAVOZ_FUZZ_SEED={SEED}"
