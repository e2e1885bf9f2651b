"""Golden conversations as text: what happens to a session, and everything it does about it.

A scenario is a file of lines. Blank lines and ``#`` comments say why; an indented line continues the line
before it. Members are written as YAML flow mappings (so JSON fits too).

Where it begins (first lines)::

    given {plan: converse, judges_turns: true}      members of Settings
    options {type: realtime, audio: {...}}          a session patch, as a token or a call brings it
    over webrtc                                     attach the client, its greeting unexamined
    show feed_audio score                           effects that are hidden unless asked for

What happens (every effect of it must be listed before the next one)::

    attach client webrtc                            a transport's event channel opens
    > response.create {response: {...}}             a client event, through the wire's decoder
    observer> response.cancel                       the same from another transport
    raw {"type": 3}                                 a message as it is
    hears 640ms speech | silence | 0.42             caller's sound, in VAD frames of 20 ms
    sound 500ms                                     caller's sound that no VAD scores
    job 2 counts 10 3 4                             Counted: the instructions, then each item
    job 2 says "Hello"                              RepliedText
    job 2 calls 0 get_weather '{"city": '           RepliedCall
    job 2 uses 10 5 0                               RepliedUsage
    job 2 finishes max_output_tokens                RepliedFinish
    job 3 speaks 500ms "Hello"                      Synthesized
    job 1 hears "Hel" / job 1 heard "Hello"         Transcribed, growing / final
    job 1 drafts "Hello"                            Transcribed, what it would be if no more were said
    job 1 heard "Hello" '{segments: [...]}'         the same, with more members
    job 4 judges 0.9                                Judged
    job 5 lists '[{name: add, input_schema: {}}]'   ToolsListed
    job 6 returns "3"                               ToolReturned
    job 6 breaks '{type: http_error, ...}'          the same, with an error
    job 2 ends / job 2 fails code "message"         JobEnded, JobFailed
    plays item_2 / played item_2                    PlaybackStarted, PlaybackEnded
    flushed item_2 480ms item_4 0ms                 Flushed
    held 900ms                                      Held: what is left to play
    spent 40000 39800 0.3                           Spent: limit, remaining, reset_seconds
    at 3600s                                        time passes

What follows from it, in order, complete::

    < response.created {response: {status: in_progress}}     an event to everyone
    <client error {error: {code: invalid_value}}              an event to one transport
    ! reply {job: 2}                                          any other effect

The members given must be there with these values; more may be there. Lists must match in length.
``<absent>`` says that a member must not be there; sound is given by its length (``500ms``).
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import yaml

from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.codec import decode_client_event, encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.mcp import ListedTool, McpFailure
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.rest import decode_session

BYTES_PER_MS = 48
FRAME_MS = 20
SPEECH, SILENCE = 0.9, 0.05
CLIENT = "client"
ABSENT = "<absent>"

Members = dict[str, Any]
T = TypeVar("T", bound=msgspec.Struct)


class Line(NamedTuple):
    number: int
    text: str


class Shown(NamedTuple):
    """One effect as a scenario writes it: where to (``<``, ``<client``, ``!``), its name and members."""

    mark: str
    name: str
    members: Members

    def __str__(self) -> str:
        members = f" {json.dumps(self.members, ensure_ascii=False)}" if self.members else ""
        return f"{self.mark} {self.name}{members}"


class Step(NamedTuple):
    now: float
    input: inputs.Input
    effects: list[effects.Effect]


class Mismatch(AssertionError):
    pass


# ------------------------------------------------------------------------------------- reading


def read(path: Path) -> list[Line]:
    lines: list[Line] = []
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0].isspace():
            lines[-1] = Line(lines[-1].number, f"{lines[-1].text} {raw.strip()}")
        else:
            lines.append(Line(number, raw.strip()))
    return lines


def members_of(text: str) -> Members:
    found = yaml.safe_load(text) if text.strip() else {}
    assert isinstance(found, dict), f"not a mapping: {text}"
    return found


def ms(text: str) -> int:
    assert text.endswith("ms"), f"a length in ms was expected: {text}"
    return int(text[:-2])


def is_expectation(text: str) -> bool:
    return text.startswith(("<", "!"))


def expectation(text: str) -> Shown:
    mark, _, rest = text.partition(" ")
    name, _, members = rest.strip().partition(" ")
    return Shown(mark, name, members_of(members))


# ------------------------------------------------------------------------------------- showing


def show(effect: effects.Effect) -> Shown:
    match effect:
        case effects.Send(event=event, to=to):
            members = json.loads(encode(event))
            name = members.pop("type")
            members.pop("event_id")
            if name in ("response.output_audio.delta", "session.output_audio.delta"):
                members["delta"] = f"{len(event.delta) // BYTES_PER_MS}ms"
                if effect.format is not None and effect.format.type != "audio/pcm":
                    members["format"] = effect.format.type
            return Shown(f"<{to}" if to else "<", name, members)
        case effects.StartJob(job=job, task=task):
            return Shown("!", type(task).__name__.lower(), {"job": job, **_plain(task)})
        case effects.Prepare(reply=reply, speech=speech, soon=soon):
            aloud = {"speech": _plain(speech)} if speech is not None else {}
            return Shown("!", "prepare", {**_plain(reply), "soon": soon, **aloud})
        case effects.Discard():
            return Shown("!", "discard", {})
        case effects.FeedText(job=job, text=text):
            return Shown("!", "feed", {"job": job, "text": text})
        case effects.FinishJob(job=job):
            return Shown("!", "finish", {"job": job})
        case effects.CancelJob(job=job):
            return Shown("!", "cancel", {"job": job})
        case effects.FeedAudio(job=job, pcm=pcm):
            return Shown("!", "feed_audio", {"job": job, "pcm": f"{len(pcm) // BYTES_PER_MS}ms"})
        case effects.EndAudio(item_id=item_id):
            return Shown("!", "end_audio", {"item_id": item_id})
        case effects.HangUp(code=code, reason=reason):
            return Shown("!", "hang_up", {"code": code, "reason": reason})
        case effects.Score():
            return Shown("!", "score", _plain(effect))
        case effects.Flush():
            return Shown("!", "flush", {})
        case effects.Hold():
            return Shown("!", "hold", {})
        case effects.Release():
            return Shown("!", "release", {})
        case effects.Spend(tokens=tokens):
            return Shown("!", "spend", {"tokens": tokens})
    raise AssertionError(f"unknown effect {effect}")


def _plain(value: msgspec.Struct) -> Members:
    def sound(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: sound(inner) for key, inner in node.items()}
        if isinstance(node, list | tuple):
            return [sound(inner) for inner in node]
        return f"{len(node) // BYTES_PER_MS}ms" if isinstance(node, bytes) else node

    plain = sound(msgspec.to_builtins(value, builtin_types=(bytes,)))
    plain.pop("what", None)
    assert isinstance(plain, dict)
    return plain


def fits(wanted: Any, found: Any) -> bool:
    """Whether ``found`` has everything that ``wanted`` asks for."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key not in found if inner == ABSENT else key in found and fits(inner, found[key])
            for key, inner in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(fits, wanted, found))
    if isinstance(wanted, bool) or isinstance(found, bool) or wanted is None:
        return wanted is found
    return bool(wanted == found)


# ------------------------------------------------------------------------------------- playing


class Player:
    """Plays a scenario; ``steps`` is its trace."""

    appends = "input_audio_buffer.append"
    """The client event that carries sound."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = read(path)
        self.now = 0.0
        self.kind = "websocket"
        self.settings = Settings()
        self.options = SessionOptions()
        self.hidden = {"score", "feed_audio"}
        self.steps: list[Step] = []
        self._session: Session | None = None
        self._heard = 0

    @property
    def session(self) -> Session:
        if self._session is None:
            self._session = self.fresh()
        return self._session

    def fresh(self) -> Session:
        return Session(self.options, Ids(seed=b""), self.settings)

    def play(self) -> list[Step]:
        """Raises :class:`Mismatch` with the scenario, where it went another way."""
        story: list[str] = []
        pending: list[Shown] = []
        for line in [*self.lines, Line(0, "")]:
            if is_expectation(line.text):
                story.append(self._meet(line, pending, story))
                continue
            if pending:
                raise self._mismatch(story, line, None, pending)
            if line.text:
                story.append(f"     {line.text}")
                pending = self._do(line.text)
        return self.steps

    def _meet(self, line: Line, pending: list[Shown], story: list[str]) -> str:
        wanted = expectation(line.text)
        if not pending:
            raise self._mismatch(story, line, wanted, pending)
        found = pending[0]
        if (found.mark, found.name) != (wanted.mark, wanted.name) or not fits(wanted.members, found.members):
            raise self._mismatch(story, line, wanted, pending)
        pending.pop(0)
        return f"  ok {line.text}"

    def _mismatch(self, story: list[str], line: Line, wanted: Shown | None, pending: list[Shown]) -> Mismatch:
        rows = [f"{self.path.stem.replace('_', ' ')} (line {line.number or 'end'})", "", *story[-25:]]
        rows.append(f"---- {line.text if wanted else 'nothing more was expected'}")
        rows += [f"++++ {shown}" for shown in pending] or ["++++ nothing more came"]
        return Mismatch("\n".join(rows))

    # ---------------------------------------------------------------------------- the lines

    def _do(self, text: str) -> list[Shown]:
        word, _, rest = text.partition(" ")
        match word:
            case "given" | "options" if self._session is not None:
                raise AssertionError(f"'{word}' comes before anything happens")
            case "given":
                self.settings = with_members(self.settings, members_of(rest))
                return []
            case "options":
                patch = decode_session(json.dumps(members_of(rest)))
                self.options = effective_session(patch, SessionOptions().model)
                return []
            case "show":
                self.hidden -= set(rest.split())
                return []
            case "over":
                self.kind = rest
                self._step(inputs.Attached(sender=CLIENT, kind=rest))  # type: ignore[arg-type]
                return []
        shown: list[Shown] = []
        for happened in self._inputs(word, rest):
            shown += [show(effect) for effect in self._step(happened)]
        return _joined([effect for effect in shown if effect.name not in self.hidden])

    def _step(self, happened: inputs.Input) -> list[effects.Effect]:
        result = self.session.step(self.now, happened)
        self.steps.append(Step(self.now, happened, result))
        return result

    def _inputs(self, word: str, rest: str) -> Iterator[inputs.Input]:
        if word.endswith(">"):
            name, _, members = rest.partition(" ")
            message = {"type": name, **members_of(members)}
            yield self._received(json.dumps(message), word[:-1] or CLIENT)
        elif word == "raw":
            yield self._received(rest, CLIENT)
        elif word == "attach":
            sender, kind = rest.split()
            yield inputs.Attached(sender=sender, kind=kind)  # type: ignore[arg-type]
        elif word == "hears":
            yield from self._hears(*rest.split())
        elif word == "sound":
            yield self._sound(ms(rest))
        elif word == "job":
            yield _result(*shlex.split(rest))
        elif word == "plays":
            yield inputs.PlaybackStarted(item_id=rest)
        elif word == "played":
            yield inputs.PlaybackEnded(item_id=rest)
        elif word == "flushed":
            words = rest.split()
            yield inputs.Flushed(
                played=[
                    inputs.ItemPlayed(item_id=item, samples=ms(length) * 24)
                    for item, length in zip(words[::2], words[1::2], strict=True)
                ]
            )
        elif word == "held":
            yield inputs.Held(left_ms=ms(rest))
        elif word == "spent":
            limit, remaining, seconds = rest.split()
            yield inputs.Spent(limit=int(limit), remaining=int(remaining), reset_seconds=float(seconds))
        elif word == "at":
            self.now = float(rest.removesuffix("s"))
            yield inputs.TimePassed()
        else:
            raise AssertionError(f"unknown line: {word} {rest}")

    def _hears(self, length: str, what: str) -> Iterator[inputs.Input]:
        probability = {"speech": SPEECH, "silence": SILENCE}.get(what) or float(what)
        for _ in range(ms(length) // FRAME_MS):
            yield self._sound(FRAME_MS)
            yield inputs.AudioScored(end_sample=self._heard * 24, probability=probability)

    def _sound(self, length: int) -> inputs.Input:
        self._heard += length
        pcm = bytes(length * BYTES_PER_MS)
        if self.kind == "webrtc":
            return inputs.AudioReceived(pcm=pcm)
        message = {"type": self.appends, "audio": base64.b64encode(pcm).decode()}
        return self._received(json.dumps(message), CLIENT)

    def _received(self, message: str, sender: str) -> inputs.Input:
        return received(message, sender)


def received(message: str | bytes, sender: str) -> inputs.Received | inputs.Refused:
    """A client's message as the session is told of it."""
    try:
        return inputs.Received(event=decode_client_event(message), sender=sender)
    except ProtocolError as error:
        return inputs.Refused(
            sender=sender,
            type=error.type,
            code=error.code,
            message=error.message,
            param=error.param,
            event_id=error.event_id,
        )


def _result(job: str, verb: str, *words: str) -> inputs.Input:
    number = int(job)
    match verb, words:
        case "counts", (before, *tokens):
            return inputs.Counted(job=number, items=[int(each) for each in tokens], instructions=int(before))
        case "says", (text,):
            return inputs.RepliedText(job=number, text=text)
        case "calls", (index, name, arguments):
            return inputs.RepliedCall(job=number, index=int(index), name=name, arguments=arguments)
        case "uses", (read_, written, cached):
            return inputs.RepliedUsage(
                job=number, input_tokens=int(read_), output_tokens=int(written), cached_tokens=int(cached)
            )
        case "finishes", (reason,):
            return inputs.RepliedFinish(job=number, reason=reason)  # type: ignore[arg-type]
        case "speaks", (length, text):
            return inputs.Synthesized(job=number, pcm=bytes(ms(length) * BYTES_PER_MS), text=text)
        case (("hears" | "heard" | "drafts"), (text, *more)):
            members = {"what": "Transcribed", "job": number, "text": text, "final": verb == "heard"}
            members["draft"] = verb == "drafts"
            for mapping in more:
                members |= yaml.safe_load(mapping)
            return msgspec.convert(members, inputs.Transcribed)
        case "judges", (probability,):
            return inputs.Judged(job=number, probability=float(probability))
        case "lists", (tools,):
            return inputs.ToolsListed(
                job=number, tools=msgspec.convert(yaml.safe_load(tools), list[ListedTool])
            )
        case "returns", (output,):
            return inputs.ToolReturned(job=number, output=output)
        case "breaks", (error,):
            return inputs.ToolReturned(job=number, error=msgspec.convert(yaml.safe_load(error), McpFailure))
        case "ends", ():
            return inputs.JobEnded(job=number)
        case "fails", (code, message):
            return inputs.JobFailed(job=number, code=code, message=message)
    raise AssertionError(f"unknown result: {verb} {words}")


def with_members(settings: T, members: Members) -> T:
    return msgspec.convert(msgspec.to_builtins(settings) | members, type(settings))


def _joined(shown: list[Shown]) -> list[Shown]:
    """Sound fed to one job in a row, as one."""
    joined: list[Shown] = []
    for effect in shown:
        last = joined[-1] if joined else None
        if last and effect.name == last.name == "feed_audio" and effect.members["job"] == last.members["job"]:
            length = ms(last.members["pcm"]) + ms(effect.members["pcm"])
            joined[-1] = Shown("!", "feed_audio", {"job": effect.members["job"], "pcm": f"{length}ms"})
        else:
            joined.append(effect)
    return joined


def scenarios() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.txt"))
