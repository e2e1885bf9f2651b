"""Truncation as a property: whatever was said, the model is given what fits, of the newest, in order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios.playbook import received
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, Item, Message
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.rest import decode_session
from vivavoz.wire.server_events import ResponseDone

BEFORE, ANSWER = 7, 20

message = st.integers(1, 30).map(lambda words: ("message", words))
call = st.integers(0, 3).map(lambda call: ("function_call", call))
output = st.integers(0, 3).map(lambda call: ("function_call_output", call))
truncations = st.one_of(
    st.just("auto"),
    st.just("disabled"),
    st.builds(
        lambda ratio, limits: {"type": "retention_ratio", "retention_ratio": ratio, "token_limits": limits},
        st.floats(0, 1),
        st.one_of(st.just({}), st.integers(0, 200).map(lambda limit: {"post_instructions": limit})),
    ),
)


class Model:
    """Counts a token a word, and takes what it is given."""

    def __init__(self, window: int, truncation: Any) -> None:
        asked = {"type": "realtime", "output_modalities": ["text"], "truncation": truncation}
        options = effective_session(decode_session(json.dumps(asked)), SessionOptions().model)
        settings = Settings(window=window, longest_reply=ANSWER, counts=True)
        self.session = Session(options, Ids(seed=b""), settings)
        self.counted: list[str] = []
        self.called: set[str] = set()
        self.number = 0

    def add(self, kind: str, value: int) -> None:
        self.number += 1
        item: dict[str, Any] = {"type": kind, "id": f"#{self.number}"}
        if kind == "message":
            part = {"type": "input_text", "text": " ".join(["word"] * value)}
            item |= {"role": "user", "content": [part]}
        elif kind == "function_call":
            item |= {"call_id": f"c{value}", "name": "f", "arguments": "{}"}
            self.called.add(f"c{value}")
        else:
            item |= {"call_id": f"c{value}", "output": "done"}
        self._step(received(json.dumps({"type": "conversation.item.create", "item": item}), "client"))

    def asked(self) -> list[Item] | None:
        """What the model is given for an answer; None: nothing, the response has failed."""
        done = self._step(received('{"type": "response.create"}', "client"))
        while True:
            for effect in done:
                match effect:
                    case effects.StartJob(task=effects.Count() as task, job=job):
                        self.counted += [str(item.id) for item in task.reply.items]
                        counts = [tokens(item) for item in task.reply.items]
                        done = self._step(inputs.Counted(job=job, items=counts, instructions=BEFORE))
                        break
                    case effects.StartJob(task=effects.Reply() as task, job=job):
                        self._step(inputs.JobEnded(job=job))
                        return task.items
                    case effects.Send(event=ResponseDone() as event):
                        assert event.response.status == "failed"
                        return None
            else:
                raise AssertionError(f"neither asked nor failed: {done}")

    def _step(self, happened: inputs.Input) -> list[effects.Effect]:
        return self.session.step(0.0, happened)


def tokens(item: Item) -> int:
    match item:
        case Message():
            return len(item.content[0].text.split())  # type: ignore[union-attr]
        case FunctionCall() | FunctionCallOutput():
            return 2


stories = st.lists(st.lists(st.one_of(message, message, call, output), min_size=1, max_size=8), max_size=6)


@given(stories, st.integers(30, 120), truncations)
def test_what_fits_is_given_and_the_newest_of_it(
    story: list[list[tuple[str, int]]], window: int, truncation: Any
) -> None:
    model = Model(window, truncation)
    room = window - min(ANSWER, window // 2) - BEFORE
    before: list[str] = []
    for turn in story:
        for kind, value in turn:
            model.add(kind, value)
        items = model.asked()
        everything = [f"#{number + 1}" for number in range(model.number)]
        if items is None:
            continue
        ids = [str(item.id) for item in items]
        assert sum(map(tokens, items)) <= room
        assert ids == [each for each in everything if each in ids], "not in order"
        assert ids[-1] == everything[-1], "what is to be answered is missing"
        assert truncation != "disabled" or ids == everything
        calls = {item.call_id for item in items if isinstance(item, FunctionCall)}
        outputs = {item.call_id for item in items if isinstance(item, FunctionCallOutput)}
        assert outputs & model.called <= calls, "an output without its call"
        seen = {*everything[: everything.index(before[-1]) + 1]} if before else set()
        back = {str(item.id) for item in items if not isinstance(item, FunctionCall)} & seen - {*before}
        assert not back, "what was left out came back"
        before = ids
    assert len(model.counted) == len(set(model.counted)), "an item was counted twice"
