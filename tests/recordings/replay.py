"""Plays the client's half of a recorded session to ours; the engines say what the server's half shows.

A recording is YAML: ``interactions``, each a ``message`` with ``direction`` (sent, received) and ``data``.
Only what a session sees is played; HTTP exchanges are passed over. Recorded sound is shortened, so appended
sound is replaced by silence of :data:`APPENDED_MS`, and the VAD says what the recorded positions say.
"""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import yaml

from tests.scenarios.playbook import received
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.codec import encode
from vivavoz.wire.options import SessionOptions

Event = dict[str, Any]

APPENDED_MS = 100
FRAME_MS = 20
SAMPLES_PER_MS = 24
PADDING_MS = 300
SPOKEN = bytes(960)
NO_JOB = 0
TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Recording:
    """``messages``: (direction, event) in order; ``sideband``: seen by an observer of a WebRTC call."""

    def __init__(self, path: Path) -> None:
        interactions = yaml.safe_load(path.read_text())["interactions"]
        self.messages: list[tuple[str, Event]] = [
            (entry["direction"], entry["data"])
            for entry in interactions
            if entry.get("kind") == "message" and isinstance(entry.get("data"), dict)
        ]
        self.sideband = bool(self.messages) and self.messages[0][0] == "sent"

    @property
    def received(self) -> list[Event]:
        return [event for direction, event in self.messages if direction == "received"]

    @property
    def transcript(self) -> str | None:
        done = [event for event in self.received if event["type"] == f"{TRANSCRIPTION}completed"]
        return done[0]["transcript"] if done else None


class Replay:
    """Our session's side; ``sent`` is what the recorded client would have received from us."""

    def __init__(self, recording: Recording, plan: Any) -> None:
        self.recording = recording
        self.plan = plan
        first = next((event for event in recording.received if "session" in event), {})
        model = first.get("session", {}).get("model", "gpt-realtime")
        # OpenAI says what is left of the tokens, Azure does not.
        told = any(event["type"] == "rate_limits.updated" for event in recording.received)
        settings = Settings(plan=plan, rated="told" if told else "silently")
        self.session = Session(SessionOptions(model=model), Ids(seed=b""), settings)
        self.sent: list[Event] = []
        self.jobs: dict[str, int] = {}
        self.scored = 0
        self.call = ""
        self.item = ""

    def play(self) -> list[Event]:
        if self.recording.sideband:
            self._give(inputs.Attached(sender="browser", kind="webrtc"))
            self.sent.clear()
            self._give(inputs.Attached(sender="client", kind="sideband"))
        else:
            self._give(inputs.Attached(sender="client", kind="websocket"))
        for direction, event in self.recording.messages:
            if direction == "sent":
                self._client(event)
            else:
                self._engines(event)
        return self.sent

    def _give(self, happened: inputs.Input) -> None:
        done = self.session.step(0.0, happened)
        for effect in done:
            if isinstance(effect, effects.StartJob):
                self.jobs[type(effect.task).__name__] = effect.job
            elif isinstance(effect, effects.Send):
                event = json.loads(encode(effect.event))
                if "item" in event:
                    self.item = event["item"]["id"]
                if not (self.recording.sideband and event["type"] == "response.output_audio.delta"):
                    self.sent.append(event)
        if any(isinstance(effect, effects.Spend) for effect in done):
            self._give(inputs.Spent(limit=40_000, remaining=39_000, reset_seconds=1.5))

    def _client(self, event: Event) -> None:
        if event["type"] == "input_audio_buffer.append":
            silence = bytes(APPENDED_MS * SAMPLES_PER_MS * 2)
            event = {**event, "audio": b64encode(silence).decode()}
        self._give(received(json.dumps(event), "client"))

    # ---------------------------------------------------------------------------- the server's half

    def _engines(self, event: Event) -> None:
        """What an engine must have said for the recorded service to say this."""
        match event["type"]:
            case "input_audio_buffer.speech_started":
                self._score(event["audio_start_ms"] + PADDING_MS, 0.0)
                self._score(self.scored + 3 * FRAME_MS, 1.0)
            case "input_audio_buffer.speech_stopped":
                self._score(event["audio_end_ms"] - self._silence_ms(), 1.0)
                self._score(event["audio_end_ms"], 0.0)
            case "response.created":
                self._understand()
            case "conversation.item.input_audio_transcription.failed":
                self._fail(event["error"])
            case "response.output_item.added":
                self.call = event["item"].get("name", "")
                if self.call:
                    self._reply(inputs.RepliedCall, index=0, name=self.call, arguments="")
            case "response.function_call_arguments.delta":
                self._reply(inputs.RepliedCall, index=0, name="", arguments=event["delta"])
            case "response.output_text.delta":
                self._reply(inputs.RepliedText, text=event["delta"])
            case "response.output_audio_transcript.delta":
                if self.plan == "cascade":
                    self._reply(inputs.RepliedText, text=event["delta"])
                self._speak(SPOKEN if self.recording.sideband else b"", event["delta"])
            case "response.output_audio.delta":
                self._speak(SPOKEN, "")
            case "output_audio_buffer.started":
                self._give(inputs.PlaybackStarted(item_id=self.item))
            case "output_audio_buffer.stopped":
                self._give(inputs.PlaybackEnded(item_id=self.item))
            case (
                "response.output_audio.done"
                | "response.output_text.done"
                | "response.function_call_arguments.done"
            ):
                self._end()

    def _silence_ms(self) -> int:
        detection: Any = self.session.options.audio.input.turn_detection
        return int(detection.silence_duration_ms)

    def _score(self, until: int, probability: float) -> None:
        while self.scored < until:
            self.scored = min(self.scored + FRAME_MS, until)
            end = self.scored * SAMPLES_PER_MS
            self._give(inputs.AudioScored(end_sample=end, probability=probability))

    def _understand(self) -> None:
        """What the caller said: before a cascade replies, beside a model that hears."""
        name = "Transcribe" if self.plan == "cascade" else "Converse"
        job, transcript = self.jobs.get(name), self.recording.transcript
        if job is not None and transcript is not None and self.scored:
            self._give(inputs.Transcribed(job=job, text=transcript, final=True))

    def _fail(self, error: dict[str, str]) -> None:
        """A model that hears by itself has nothing to say about it."""
        if (job := self.jobs.get("Transcribe")) is not None:
            self._give(inputs.JobFailed(job=job, code=error["code"], message=error["message"]))

    def _reply(self, kind: Any, **members: Any) -> None:
        job = self.jobs.get("Reply" if self.plan == "cascade" else "Converse", NO_JOB)
        self._give(kind(job=job, **members))

    def _speak(self, pcm: bytes, text: str) -> None:
        job = self.jobs.get("Synthesize" if self.plan == "cascade" else "Converse", NO_JOB)
        self._give(inputs.Synthesized(job=job, pcm=pcm, text=text))

    def _end(self) -> None:
        for name in ("Reply", "Converse", "Synthesize"):
            if name in self.jobs:
                self._give(inputs.JobEnded(job=self.jobs.pop(name)))
