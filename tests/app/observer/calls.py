"""Calls for tests of the observer."""

from __future__ import annotations

from typing import Any

from vivavoz.app.observer.ports import CallInfo


def info(call_id: str = "rtc_1", **members: Any) -> CallInfo:
    usual: dict[str, Any] = {
        "call_id": call_id,
        "upstream": "vivavoz",
        "profile": "default",
        "user": "ana",
        "origin": "connect",
        "filtered": "on",
        "browser_reads_session": False,
        "started_at": 1000.0,
        "record": True,
    }
    return CallInfo(**{**usual, **members})
