"""A working folder becomes one file: slowly, on a thread that yields to all else. It may be killed anywhere
and done again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

import msgspec

from vivavoz.app.observer.ports import CallState, Gap, Line
from vivavoz.app.observer.state import CallFold
from vivavoz.app.recordings import container
from vivavoz.app.recordings.container import Place
from vivavoz.app.recordings.sound import FILES, Format, encode, track_samples
from vivavoz.app.recordings.take import SAMPLE_RATE, End, Info, Lost, whole_lines

PACKED = "packed.zip"
NO_SOUND = "no sound was received: this service gives observers none, or the call had none"


class Spoken(Line, kw_only=True):
    """A line of the transcript, with its times from the start of the sound (ms)."""

    at_ms: int
    until_ms: int | None


class Track(msgspec.Struct, kw_only=True):
    name: str
    channel: int
    samples: int
    sample_rate: int = SAMPLE_RATE


class Meta(msgspec.Struct, kw_only=True):
    """``meta.json``: everything about a recording but its words, events and sound."""

    version: int = 1
    id: str
    take: str
    call_id: str
    upstream: str
    profile: str
    user: str
    origin: str
    filtered: str
    status: Literal["complete", "interrupted"]
    """``interrupted``: the application ended before the call did, and nobody saw its end."""
    end_reason: str
    started_at: float
    ended_at: float
    duration_ms: int
    turns: int
    last_words: str
    events: int
    audio: str | None
    """Content type; None: there is no sound, and ``audio_missing`` says why."""
    audio_missing: str | None
    tracks: list[Track]
    usage: dict[str, Any]
    turns_log: list[Any]
    tools: list[Any]
    errors: list[Any]
    gaps: list[Gap]
    lost: Lost
    notice: str | None
    """The notice that was configured. Whether it was shown, and agreed to, is not known here."""


class Packed(msgspec.Struct, kw_only=True):
    meta: Meta
    words: str
    """The transcript's text."""
    place: Place
    """Of the sound."""
    size: int
    path: Path


class _Record(msgspec.Struct):
    """One line of events.jsonl."""

    at: float
    sender: str | None = None
    event: dict[str, Any] | None = None
    gap: Gap | None = None
    lost: Lost | None = None
    resumed: dict[str, Any] | None = None
    end: dict[str, Any] | None = None


class _Read(msgspec.Struct):
    """What the events say by themselves."""

    fold: CallFold
    events: int = 0
    lost: Lost = msgspec.field(default_factory=Lost)
    last_at: float | None = None
    resumed: bool = False
    """The application was restarted meanwhile: no observer has seen all of the call."""
    end: tuple[float, str] | None = None


def read_info(folder: Path) -> Info:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / "info.json").read_bytes(), type=Info)


def has_end(folder: Path) -> bool:
    return (folder / "end.json").exists()


def pack(
    folder: Path,
    name: str,
    *,
    audio: Format,
    notice: str | None,
    stop: threading.Event,
) -> Packed:
    """Make ``packed.zip`` in ``folder``, of the recording called ``name``. Raises OSError, sound.Stopped, and
    msgspec.DecodeError for a folder without a readable ``info.json``."""
    info = read_info(folder)
    read = _read_events(folder, info)
    end = _read_end(folder, read)
    state = _state(end, read)
    caller, assistant = folder / "caller.pcm", folder / "assistant.pcm"
    samples = max(track_samples(caller), track_samples(assistant))
    meta = _meta(info, name, read, end, state, notice)
    meta.tracks = [
        Track(name=track, channel=channel, samples=count)
        for channel, track in enumerate(("caller", "assistant"))
        if (count := track_samples(folder / f"{track}.pcm"))
    ]
    spoken = [_spoken(line, info.call.started_at) for line in state.transcript]
    members: dict[str, bytes | Path] = {
        container.META: b"",
        container.TRANSCRIPT: msgspec.json.encode(spoken),
    }
    file: str | None = None
    if samples:
        file, meta.audio, _, _ = FILES[audio]
        peaks = encode(caller, assistant, folder / file, audio, stop)
        members |= {container.PEAKS: msgspec.json.encode(peaks), file: folder / file}
        meta.duration_ms = max(meta.duration_ms, samples * 1000 // SAMPLE_RATE)
    else:
        meta.audio_missing = NO_SOUND
    members[container.META] = msgspec.json.encode(meta)
    if read.events or (folder / "events.jsonl").exists():
        members[container.EVENTS] = folder / "events.jsonl"
    path = folder / PACKED
    place = container.write(path, members, file)
    words = "\n".join(line.text for line in state.transcript if line.text)
    return Packed(meta=meta, words=words, place=place, size=path.stat().st_size, path=path)


def _read_events(folder: Path, info: Info) -> _Read:
    """Fold the events anew, as far as they are whole. Unreadable lines are passed over; what was told
    twice, by a service that was asked for what a killed application had already noted, is taken out."""
    read = _Read(CallFold(info.call))
    seen: set[str] = set()
    again: set[int] = set()
    path = folder / "events.jsonl"
    if not path.exists():
        return read
    decoder = msgspec.json.Decoder(_Record)
    rest = whole_lines(path)
    with path.open("r+b") as file:
        file.truncate(rest)
        for number, line in enumerate(file):
            try:
                record = decoder.decode(line)
            except msgspec.DecodeError:
                continue
            if (event_id := _server_event_id(record)) is not None:
                if event_id in seen:
                    again.add(number)
                    continue
                seen.add(event_id)
            _apply(read, record)
    if again:
        _without(path, again)
    return read


def _server_event_id(record: _Record) -> str | None:
    event_id = record.event.get("event_id") if record.event is not None else None
    return event_id if record.sender == "server" and isinstance(event_id, str) else None


def _without(path: Path, numbers: set[int]) -> None:
    """Take lines out of a file."""
    kept = path.with_suffix(".kept")
    with path.open("rb") as before, kept.open("wb") as after:
        after.writelines(line for number, line in enumerate(before) if number not in numbers)
    kept.replace(path)


def _apply(read: _Read, record: _Record) -> None:
    read.last_at = record.at
    if record.event is not None:
        read.events += 1
        if record.sender == "server":
            read.fold.apply(record.at, record.event)
    if record.gap is not None:
        read.fold.gap(record.gap.since, record.gap.until, record.gap.reason)
    if record.lost is not None:
        read.lost.events += record.lost.events
        read.lost.sound_ms += record.lost.sound_ms
    read.resumed = read.resumed or record.resumed is not None
    # A record that went on after its end (an observer that had given up) is ended by the last of them.
    read.end = None if record.end is None else (record.at, str(record.end.get("reason", "")))


def _read_end(folder: Path, read: _Read) -> End | None:
    """The end as the observer told it; else from the events, where it is their last line."""
    try:
        return msgspec.json.decode((folder / "end.json").read_bytes(), type=End)
    except (FileNotFoundError, msgspec.DecodeError):
        pass
    if read.end is None:
        return None
    at, reason = read.end
    read.fold.ended(at, reason)
    return End(at=at, reason=reason, state=read.fold.state)


def _state(end: End | None, read: _Read) -> CallState:
    """The observer's, who knows most; the events' where they have more."""
    read.fold.summarize()
    if end is None:
        return read.fold.state
    if read.resumed:
        known = {tool.call_id: tool for tool in end.state.tools}
        tools = [known.get(tool.call_id, tool) for tool in read.fold.state.tools]
        return msgspec.structs.replace(read.fold.state, tools=tools)
    return end.state


def _meta(info: Info, name: str, read: _Read, end: End | None, state: CallState, notice: str | None) -> Meta:
    call = info.call
    ended_at = end.at if end else (read.last_at or call.started_at)
    return Meta(
        id=name,
        take=info.take,
        call_id=call.call_id,
        upstream=call.upstream,
        profile=call.profile,
        user=call.user,
        origin=call.origin,
        filtered=call.filtered,
        status="complete" if end else "interrupted",
        end_reason=end.reason if end else "the application ended before the call did",
        started_at=call.started_at,
        ended_at=ended_at,
        duration_ms=max(0, round((ended_at - call.started_at) * 1000)),
        turns=state.turns,
        last_words=state.last_words,
        events=read.events,
        audio=None,
        audio_missing=None,
        tracks=[],
        usage=msgspec.to_builtins(state.usage),
        turns_log=msgspec.to_builtins(state.turns_log),
        tools=msgspec.to_builtins(state.tools),
        errors=msgspec.to_builtins(state.errors),
        gaps=state.gaps,
        lost=read.lost,
        notice=notice,
    )


def _spoken(line: Line, started_at: float) -> Spoken:
    def ms(at: float) -> int:
        return max(0, round((at - started_at) * 1000))

    until = None if line.until is None else ms(line.until)
    return Spoken(**msgspec.structs.asdict(line), at_ms=ms(line.at), until_ms=until)
