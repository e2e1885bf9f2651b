"""The function and MCP calls of a call: what was asked, by which response, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from vivavoz.app.observer.fields import identifier, members, objects, text
from vivavoz.app.observer.ports import Event, ToolCall

MAX_TOOL_CALLS = 200
MAX_TEXT = 20_000
_MAX_OUTPUT_ITEMS = 128


class ToolCalls:
    """``log``: the latest calls. ``owned``: names of the functions that the application answers itself."""

    def __init__(self, log: list[ToolCall], owned: frozenset[str]) -> None:
        self.log = log
        self._owned = owned
        self._by_id: dict[str, ToolCall] = {}
        self._asked_at: dict[str, float] = {}

    def item(self, at: float, item: Event, response_id: str | None = None) -> None:
        match text(item, "type"):
            case "function_call":
                self._function(at, item, response_id)
            case "function_call_output":
                self._output(at, item)
            case "mcp_call":
                self._mcp(at, item)

    def arguments_done(self, at: float, event: Event) -> None:
        call_id = identifier(event, "call_id")
        if call := self._by_id.get(call_id or ""):
            call.arguments = text(event, "arguments")[:MAX_TEXT]
            self._asked_at.setdefault(call.call_id, at)

    def response_done(self, response: Event) -> None:
        """Calls of a response that did not complete are cancelled, unless they were finished before."""
        if text(response, "status") == "completed":
            return
        ended = {identifier(item, "call_id") for item in objects(response, "output", _MAX_OUTPUT_ITEMS)}
        for call in self.log:
            mine = call.response_id == identifier(response, "id") or call.call_id in ended
            if mine and call.output is None and call.status == "in_progress":
                call.status = "cancelled"

    def answered(self, call_ids: Iterable[str]) -> bool:
        """Whether each has its output."""
        return all(call_id in self._by_id and self._by_id[call_id].output is not None for call_id in call_ids)

    def get(self, call_id: str) -> ToolCall | None:
        return self._by_id.get(call_id)

    def _function(self, at: float, item: Event, response_id: str | None) -> None:
        call_id, name = identifier(item, "call_id"), identifier(item, "name")
        if call_id is None or name is None:
            return
        call = self._call(at, call_id, name, "application" if name in self._owned else "client")
        call.item_id = identifier(item, "id") or call.item_id
        call.response_id = response_id or call.response_id
        if arguments := text(item, "arguments"):
            call.arguments = arguments[:MAX_TEXT]
        if text(item, "status") == "incomplete" and call.output is None:
            call.status = "cancelled"

    def _output(self, at: float, item: Event) -> None:
        call = self._by_id.get(identifier(item, "call_id") or "")
        if call is None or call.output is not None:
            return
        call.output = text(item, "output")[:MAX_TEXT]
        # A cancelled call stays one, although its output says so.
        if call.status == "in_progress":
            call.status = "completed"
        self._timed(call, at)

    def _mcp(self, at: float, item: Event) -> None:
        call_id, name = identifier(item, "id"), identifier(item, "name")
        if call_id is None or name is None:
            return
        call = self._call(at, call_id, name, "upstream")
        call.item_id = call_id
        call.arguments = text(item, "arguments")[:MAX_TEXT] or call.arguments
        output, error = item.get("output"), members(item, "error")
        if call.status == "in_progress" and (isinstance(output, str) or error):
            call.output = text(item, "output")[:MAX_TEXT] if not error else text(error, "message")[:MAX_TEXT]
            call.status = "failed" if error else "completed"
            self._timed(call, at)

    def _call(self, at: float, call_id: str, name: str, by: str) -> ToolCall:
        call = self._by_id.get(call_id)
        if call is None:
            call = ToolCall(call_id=call_id, name=name, by=by, at=at)  # type: ignore[arg-type]
            self._by_id[call_id] = call
            self.log.append(call)
            if len(self.log) > MAX_TOOL_CALLS:
                oldest = self.log.pop(0)
                self._by_id.pop(oldest.call_id, None)
                self._asked_at.pop(oldest.call_id, None)
        return call

    def _timed(self, call: ToolCall, at: float) -> None:
        call.ms = max(0, round(1000 * (at - self._asked_at.pop(call.call_id, call.at))))
