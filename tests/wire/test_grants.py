"""What a grant may say, and what it says of tools."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from vivavoz.wire.base import tag_of
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import ClientEventName, Grant
from vivavoz.wire.options import SessionPatch
from vivavoz.wire.rest import decode_client_secret_request, decode_grant, decode_session


def test_every_client_event_can_be_granted() -> None:
    assert set(get_args(ClientEventName)) == {tag_of(kind) for kind in get_args(ClientEvent)}


@pytest.mark.parametrize(
    ("grant", "param"),
    [
        ({"filter": "off"}, "filter"),
        ({"client_events": ["no.such"]}, "client_events[0]"),
        ({"client_events": "response.create"}, "client_events"),
        ({"max_calls": 0}, "max_calls"),
        ({"max_calls": 101}, "max_calls"),
        ({"max_seconds": 0.5}, "max_seconds"),
        ({"label": "x" * 121}, "label"),
        ({"tools": [""]}, "tools[0]"),
        ({"filters": "on"}, "filters"),
    ],
)
def test_a_bad_grant_is_named(grant: dict[str, Any], param: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode_grant(json.dumps(grant).encode())
    assert raised.value.param is not None
    assert raised.value.param.split("[")[0] == param.split("[")[0]


def test_nothing_granted_limits_nothing() -> None:
    grant = decode_grant(b"{}")
    session = decode_session('{"type": "realtime", "tools": [{"type": "function", "name": "any"}]}')
    grant.check_session(session, "session")
    grant.check_session(SessionPatch(), "session")


def test_tools_go_by_the_name_of_the_function_or_the_label_of_the_server() -> None:
    grant = Grant(tools=("weather", "docs"))
    tools = [
        {"type": "function", "name": "weather"},
        {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"},
    ]
    grant.check_session(decode_session(json.dumps({"type": "realtime", "tools": tools})), "session")
    tools.append({"type": "function", "name": "delete_everything"})
    with pytest.raises(ProtocolError, match="delete_everything") as raised:
        grant.check_session(decode_session(json.dumps({"type": "realtime", "tools": tools})), "session")
    assert (raised.value.code, raised.value.param) == ("tool_not_granted", "session.tools[2]")


def test_where_there_are_no_extensions_a_grant_is_unknown() -> None:
    body = b'{"grant": {"filter": "on"}}'
    assert decode_client_secret_request(body, grants=True).grant == Grant(filter="on")
    with pytest.raises(ProtocolError, match="Unknown parameter: 'grant'") as raised:
        decode_client_secret_request(body)
    assert raised.value.code == "unknown_parameter"
