"""``Session`` itself: what it is made of, when it wants to be woken, and what it makes of foreign bytes."""

from __future__ import annotations

import pytest

from vivavoz.session.ids import Ids
from vivavoz.session.inputs import Attached, TimePassed
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import AudioOptions, OutputOptions, SessionOptions


def session(settings: Settings | None = None) -> Session:
    return Session(SessionOptions(), Ids(seed=b""), settings)


def test_options_that_the_settings_cannot_give_are_refused() -> None:
    options = SessionOptions(audio=AudioOptions(output=OutputOptions(voice="nobody")))
    with pytest.raises(ProtocolError) as refused:
        Session(options, Ids(seed=b""))
    assert refused.value.param == "audio.output.voice"


def test_its_id_may_be_given() -> None:
    assert session().id == "sess_1"
    assert Session(SessionOptions(), Ids(seed=b""), session_id="sess_minted").id == "sess_minted"


def test_its_time_runs_from_its_first_step() -> None:
    waiting = session(Settings(duration_s=60.0))
    assert waiting.deadline is None
    waiting.step(100.0, Attached(sender="client", kind="websocket"))
    assert waiting.deadline == 160.0
    waiting.step(150.0, TimePassed())
    assert waiting.deadline == 160.0
    assert waiting.step(160.0, TimePassed())
    assert waiting.deadline is None


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x80", b"garbage", session().dump()[:-1]])
def test_bytes_that_are_no_session_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's errors are ValueErrors, of many kinds
        Session.load(data)
