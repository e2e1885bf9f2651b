"""A world around a session in which anything happens: clients, engines, VAD and playout, honest or not.

Hypothesis draws *moves*, small tuples whose numbers pick among what exists (jobs, items, responses), so that
most moves mean something and a failing story shrinks to a short one.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from tests.scenarios.playbook import received
from tests.session.watch import Watch
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings, Yielding
from vivavoz.wire.base import replace
from vivavoz.wire.codec import decode
from vivavoz.wire.mcp import ExecutionFailure, ListedTool
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import SessionOptions, SessionPatch

SAMPLES_PER_MS = 24
INPUT_MS = 2_000
TEXTS = ("", "Hi.", " there", "one two three", "ß😀 ")
GARBAGE = (
    '{"type"',
    "[]",
    "null",
    '{"type": 7}',
    '{"event_id": "e", "type": "nope"}',
    '{"type":"session.update"}',
)

RESPOND = ("client", "respond", 0, 0)
PROLOGUES: tuple[list[tuple[Any, ...]], ...] = (
    [],
    [RESPOND, ("reply", 1)],
    [("turn", 1), ("reply", 3)],
    [RESPOND, ("reply", 3), ("hears", 100, 0.9)],
    [RESPOND, ("client", "respond_aside", 0, 0), ("reply", 3)],
    [("client", "update_tools", 0, 3), ("listed",), ("listed",), RESPOND, ("calls", 1), ("calls", 2)],
)
"""What a story begins with, so that most of them are in the middle of something."""

VADS: tuple[Any, ...] = (
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "idle_timeout_ms": 5_000},
    {"type": "server_vad", "interrupt_response": False, "prefix_padding_ms": 0, "silence_duration_ms": 0},
    {"type": "semantic_vad", "eagerness": "high"},
)

MCP_TOOLS: list[dict[str, Any]] = [
    {"type": "mcp", "server_label": "a", "server_url": "https://a.example", "require_approval": "never"},
    {"type": "function", "name": "g"},
    {
        "type": "mcp",
        "server_label": "b",
        "server_url": "https://b.example",
        "require_approval": {"never": {"tool_names": ["look"]}},
    },
]

WINDOWS: tuple[tuple[int, bool] | None, ...] = (None, (400, True), (120, True), (120, False))
"""What a model can read, and whether its engine counts: room for a few items, where there is one."""

number = st.integers(0, 7)
Move = tuple[Any, ...]


def moves() -> st.SearchStrategy[Move]:
    """One thing that happens; likelier ones are named more than once."""
    client = st.tuples(st.just("client"), st.sampled_from(CLIENT_MOVES), number, number)
    result = st.tuples(st.just("result"), st.sampled_from(RESULTS), number, number)
    honest = st.tuples(st.just("honest"), number, number)
    hears = st.tuples(st.just("hears"), st.sampled_from([20, 100, 400]), st.sampled_from([0.0, 0.6, 0.9]))
    return st.one_of(
        client,
        client,
        result,
        result,
        result,
        hears,
        hears,
        honest,
        honest,
        honest,
        honest,
        st.tuples(st.just("turn"), number),
        st.tuples(st.just("turn"), number),
        st.tuples(st.just("reply"), number),
        st.tuples(st.just("reply"), number),
        st.tuples(st.just("calls"), number),
        st.tuples(st.just("playout"), st.sampled_from(["started", "ended", "flushed"]), number, number),
        st.tuples(st.just("score"), st.integers(-1_000, 1_000), st.floats(0, 1)),
        st.tuples(st.just("garbage"), st.sampled_from(GARBAGE)),
        st.tuples(st.just("time"), st.sampled_from([0.0, 0.1, 10.0])),
        st.tuples(st.just("attach"), st.sampled_from(["sideband", "webrtc", "websocket"])),
    )


def beginnings() -> st.SearchStrategy[Move]:
    """How a session is made (plan, judge, transport, turn detection, transcription, modality), what it begins
    with, how much its model can read, and whether its voice is held before it yields."""
    return st.tuples(
        st.sampled_from(["cascade", "converse"]),
        st.booleans(),
        st.sampled_from(["webrtc", "websocket"]),
        st.sampled_from([VADS[1], *VADS]),
        st.booleans(),
        st.sampled_from(["audio", "audio", "text"]),
        st.sampled_from(PROLOGUES),
        st.sampled_from(WINDOWS),
        st.booleans(),
    )


CLIENT_MOVES = (
    "append",
    "append_odd",
    "commit",
    "clear",
    "output_clear",
    "item",
    "item_sound",
    "item_call",
    "item_wrong",
    "retrieve",
    "truncate",
    "delete",
    "respond",
    "respond",
    "respond_text",
    "respond_aside",
    "respond_input",
    "respond_wrong",
    "cancel",
    "cancel_one",
    "update_vad",
    "update_voice",
    "update_transcription",
    "update_modality",
    "update_tools",
    "update_truncation",
    "approve",
    "update_wrong",
)

RESULTS = (
    "counted",
    "too_long",
    "text",
    "call",
    "usage",
    "finish",
    "speech",
    "words",
    "transcript",
    "judged",
    "listed",
    "returned",
    "ended",
    "failed",
)


class World:
    """Plays moves; ``trace`` is every ``(now, input, effects)``."""

    def __init__(self, beginning: Move) -> None:
        plan, judges, kind, vad, transcribes, modality, prologue, window, holds = beginning
        self.settings = Settings(plan=plan, judges_turns=judges, input_ms=INPUT_MS, duration_s=3_600)
        if holds:
            self.settings = replace(self.settings, yielding=Yielding(back_channels=("hi", "one two")))
        if window is not None:
            tokens, counts = window
            self.settings = replace(self.settings, window=tokens, longest_reply=20, counts=counts)
        self.options = _options(vad, transcribes, modality)
        self.kind = kind
        self.session = self.fresh()
        self.watch = Watch()
        self.trace: list[tuple[float, inputs.Input, list[effects.Effect]]] = []
        self.now = 0.0
        self.heard = 0
        self.jobs: dict[int, str] = {}
        self.counting: dict[int, int] = {}
        self.items = ["root", "nothing"]
        self.responses = ["nothing"]
        self.flushing = False
        self.held = self.holding = False
        """Whether our voice is; whether it is still to be said that it is."""
        self.give(inputs.Attached(sender="client", kind=kind))
        for move in prologue:
            self.move(move)

    def fresh(self) -> Session:
        return Session(self.options, Ids(seed=b""), self.settings)

    def give(self, happened: inputs.Input) -> None:
        done = self.session.step(self.now, happened)
        self.trace.append((self.now, happened, done))
        self.watch.saw(happened, done)
        for effect in done:
            self._remember(effect)

    def _remember(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.StartJob):
            self.jobs[effect.job] = type(effect.task).__name__
            if isinstance(effect.task, effects.Count):
                self.counting[effect.job] = len(effect.task.reply.items)
        elif isinstance(effect, effects.Flush):
            self.flushing = True
        elif isinstance(effect, effects.Hold | effects.Release):
            holds = isinstance(effect, effects.Hold)
            assert holds != self.held, "held or released twice"
            self.held = self.holding = holds
        elif isinstance(effect, effects.Send):
            item = getattr(effect.event, "item", None)
            if item is not None and item.id not in self.items:
                self.items.append(item.id)
            response = getattr(effect.event, "response", None)
            if response is not None and response.id not in self.responses:
                self.responses.append(response.id)

    def live(self) -> list[int]:
        return sorted(self.watch.jobs)

    # ---------------------------------------------------------------------------- moves

    def move(self, move: Move) -> None:
        getattr(self, f"_{move[0]}")(*move[1:])
        if self.flushing:
            self._playout("flushed", 0, 1)
        if self.holding:
            self.holding = False
            self.give(inputs.Held(left_ms=self.heard % 7 * 300))

    def _client(self, kind: str, a: int, b: int) -> None:
        message = _message(self, kind, a, b)
        self.give(received(json.dumps({"event_id": f"c{a}", **message}), "client"))

    def _garbage(self, text: str) -> None:
        self.give(received(text, "client"))

    def _attach(self, kind: Any) -> None:
        self.give(inputs.Attached(sender=kind, kind=kind))

    def _time(self, seconds: float) -> None:
        self.now += seconds
        self.give(inputs.TimePassed())

    def _hears(self, length: int, probability: float) -> None:
        for _ in range(length // 20):
            self.give(inputs.AudioReceived(pcm=bytes(20 * SAMPLES_PER_MS * 2)))
            self.heard += 20 * SAMPLES_PER_MS
            self.give(inputs.AudioScored(end_sample=self.heard, probability=probability))

    def _score(self, offset: int, probability: float) -> None:
        """A frame that nobody has sent, or that was scored before."""
        self.give(inputs.AudioScored(end_sample=max(self.heard + offset, 0), probability=probability))

    def _playout(self, what: str, a: int, b: int) -> None:
        item = self.items[-1 - a % len(self.items)]
        match what:
            case "started":
                self.give(inputs.PlaybackStarted(item_id=item))
            case "ended":
                self.give(inputs.PlaybackEnded(item_id=item))
            case "flushed":
                self.flushing = False
                self.give(inputs.Flushed(played=[inputs.ItemPlayed(item_id=item, samples=b * 300)]))

    def _turn(self, b: int) -> None:
        """The caller says something and is understood."""
        self._hears(200, 0.9)
        self._hears(400, 0.0)
        for job in [job for job in self.live() if self.jobs[job] == "Transcribe"]:
            self._give_result("transcript", job, b)

    def _reply(self, b: int) -> None:
        """The model says something, is voiced where it needs a voice, and is heard."""
        for job in [job for job in self.live() if self.jobs[job] == "Count"]:
            self._give_result("counted", job, b)
        for job in [job for job in self.live() if self.jobs[job] == "Reply"]:
            self._give_result("text", job, b)
        for job in [job for job in self.live() if self.jobs[job] in ("Synthesize", "Converse")]:
            self._give_result("speech", job, b)
        for item in self.items[-2:]:
            self.give(inputs.PlaybackStarted(item_id=item))

    def _listed(self) -> None:
        """An MCP server says what tools it has."""
        for job in [job for job in self.live() if self.jobs[job] == "ListTools"][:1]:
            self._give_result("listed", job, 2)

    def _calls(self, b: int) -> None:
        """The model uses a tool."""
        for job in [job for job in self.live() if self.jobs[job] in ("Reply", "Converse")]:
            self._give_result("call", job, b)
            self.give(inputs.JobEnded(job=job))
        for job in [job for job in self.live() if self.jobs[job] == "CallTool"]:
            self._give_result("returned", job, b)

    def _honest(self, a: int, b: int) -> None:
        """A live job does what jobs of its kind do."""
        live = self.live()
        if not live:
            return
        job = live[a % len(live)]
        kinds = {
            "Transcribe": ("words", "transcript"),
            "Count": ("counted", "counted", "ended"),
            "Reply": ("text", "text", "call", "ended"),
            "Synthesize": ("speech", "speech", "ended"),
            "Converse": ("speech", "call", "transcript", "ended"),
            "Judge": ("judged",),
            "ListTools": ("listed", "listed", "ended"),
            "CallTool": ("returned",),
        }[self.jobs[job]]
        self._give_result(kinds[b % len(kinds)], job, a)

    def _result(self, kind: str, a: int, b: int) -> None:
        """Any result of any job, whether it lives, has ended, or never was."""
        known = list(self.jobs)
        job = known[-1 - a % len(known)] if known and b else 99
        self._give_result(kind, job, b)

    def _count(self, job: int, b: int) -> list[int]:
        """Of as many items as were asked for; once in a while of none."""
        return [3 + b * 4] * self.counting.get(job, 1) if b else []

    def _give_result(self, kind: str, job: int, b: int) -> None:
        text = TEXTS[b % len(TEXTS)]
        happened: inputs.Input
        match kind:
            case "text":
                happened = inputs.RepliedText(job=job, text=text)
            case "call":
                name = ("f", "look", "buy")[b % 3]
                happened = inputs.RepliedCall(job=job, index=b % 3, name=name, arguments=text)
            case "listed":
                tools = [ListedTool(name=name, input_schema={}) for name in ("look", "buy")[: b % 3]]
                happened = inputs.ToolsListed(job=job, tools=tools)
            case "returned":
                error = ExecutionFailure(message="It failed.") if b % 3 == 0 else None
                happened = inputs.ToolReturned(job=job, output=None if error else text, error=error)
            case "counted":
                happened = inputs.Counted(job=job, items=self._count(job, b), instructions=b)
            case "too_long":
                message = "Too long."
                happened = inputs.JobFailed(job=job, code="context_length_exceeded", message=message)
            case "usage":
                happened = inputs.RepliedUsage(job=job, input_tokens=b, output_tokens=b, cached_tokens=0)
            case "finish":
                reasons = ("stop", "max_output_tokens", "content_filter")
                happened = inputs.RepliedFinish(job=job, reason=reasons[b % 3])  # type: ignore[arg-type]
            case "speech":
                happened = inputs.Synthesized(job=job, pcm=bytes(960 * b), text=text)
            case "words":
                happened = inputs.Transcribed(job=job, text=text, final=False, draft=b % 3 == 0)
            case "transcript":
                happened = inputs.Transcribed(job=job, text=text, final=True)
            case "judged":
                happened = inputs.Judged(job=job, probability=b / 7)
            case "ended":
                happened = inputs.JobEnded(job=job)
            case _:
                happened = inputs.JobFailed(job=job, code="engine_failed", message="It failed.")
        self.give(happened)


def _options(vad: Any, transcribes: bool, modality: str) -> SessionOptions:
    patch = {
        "type": "realtime",
        "output_modalities": [modality],
        "audio": {
            "input": {"turn_detection": vad, "transcription": {"model": "whisper-1"} if transcribes else None}
        },
    }
    return effective_session(decode(json.dumps(patch), SessionPatch), "gpt-realtime")


def _message(world: World, kind: str, a: int, b: int) -> dict[str, Any]:
    item = world.items[-1 - a % len(world.items)]
    match kind:
        case "append" | "append_odd":
            sound = bytes(4_800 * b + (kind == "append_odd"))
            world.heard += len(sound) // 2 if kind == "append" else 0
            return {"type": "input_audio_buffer.append", "audio": b64encode(sound).decode()}
        case "commit" | "clear":
            return {"type": f"input_audio_buffer.{kind}"}
        case "output_clear":
            return {"type": "output_audio_buffer.clear"}
        case "item":
            part = {"type": "input_text", "text": TEXTS[b % len(TEXTS)]}
            new = {"type": "message", "role": "user", "content": [part]}
            return {"type": "conversation.item.create", "item": new, "previous_item_id": item}
        case "item_sound":
            part = {"type": "input_audio", "audio": b64encode(bytes(960 * b)).decode()}
            new = {"type": "message", "role": "user", "content": [part]}
            return {"type": "conversation.item.create", "item": new}
        case "item_call":
            new = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}
            return {"type": "conversation.item.create", "item": new}
        case "approve":
            asked = [known for known in world.items if known.startswith("mcpr_")] or ["nothing"]
            new = {"type": "mcp_approval_response", "approval_request_id": asked[-1], "approve": b % 3 > 0}
            return {"type": "conversation.item.create", "item": new}
        case "item_wrong":
            new = {"id": item, "type": "message", "role": "user", "content": []}
            return {"type": "conversation.item.create", "item": new}
        case "retrieve" | "delete":
            return {"type": f"conversation.item.{kind}", "item_id": item}
        case "truncate":
            where = {"item_id": item, "content_index": b // 7, "audio_end_ms": b * 30}
            return {"type": "conversation.item.truncate", **where}
        case "cancel":
            return {"type": "response.cancel"}
        case "cancel_one":
            return {"type": "response.cancel", "response_id": world.responses[-1 - a % len(world.responses)]}
    if kind.startswith("respond"):
        return {"type": "response.create", "response": _response(kind, item)}
    return {"type": "session.update", "session": {"type": "realtime", **_update(kind, b)}}


def _response(kind: str, item: str) -> dict[str, Any]:
    match kind:
        case "respond_text":
            return {"output_modalities": ["text"]}
        case "respond_aside":
            return {"conversation": "none", "metadata": {"a": "b"}}
        case "respond_input":
            return {"conversation": "none", "input": [{"type": "item_reference", "id": item}]}
        case "respond_wrong":
            return {"audio": {"output": {"voice": "nobody"}}}
    return {}


def _update(kind: str, b: int) -> dict[str, Any]:
    match kind:
        case "update_vad":
            return {"audio": {"input": {"turn_detection": VADS[b % len(VADS)]}}}
        case "update_voice":
            return {"audio": {"output": {"voice": ("alloy", "marin")[b % 2]}}}
        case "update_transcription":
            return {"audio": {"input": {"transcription": (None, {"model": "whisper-1"})[b % 2]}}}
        case "update_truncation":
            ratio = {"type": "retention_ratio", "retention_ratio": b / 7, "token_limits": {}}
            limited = {**ratio, "token_limits": {"post_instructions": b * 20}}
            return {"truncation": ("auto", "disabled", ratio, limited)[b % 4]}
        case "update_tools":
            return {"tools": MCP_TOOLS[: b % 4]}
        case "update_modality":
            return {"output_modalities": [("text", "audio")[b % 2]]}
    return {"instructions": "changed", "tool_choice": {"type": "function", "name": "nothing"}}
