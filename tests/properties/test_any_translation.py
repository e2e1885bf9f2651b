"""Whatever happens to a translation session: nothing raises, and what it promises is kept."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.session.translation import oracle
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.translation.inputs import Asked
from vivavoz.session.translation.listening import LONGEST_MS, MAX_JOBS
from vivavoz.session.translation.session import TranslationSession
from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.codec import pack
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import decode_translation_event, effective_translation

INPUT_MS = 3_000
LIMITS = {"duration_s": 600.0, "drain_s": 20.0, "input_ms": INPUT_MS}

session_patches = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["m", "other", 3]),
        "type": st.sampled_from(["translation", "realtime"]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "transcription": st.sampled_from([None, {"model": "w"}, {}]),
                        "noise_reduction": st.sampled_from([None, {"type": "near_field"}, {"type": "x"}]),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {}, optional={"language": st.sampled_from(["pt", "en", "ja", "x", "", 3])}
                ),
            },
        ),
    },
)
jobs = st.integers(1, 4)
texts = st.sampled_from(["", " ", "word", " more", "日本"])
phrases = st.tuples(st.just("phrase"))
words = st.tuples(st.just("heard"), jobs, texts, st.booleans())
speech = st.tuples(st.just("said"), jobs, texts, st.sampled_from([0, 20, 2_500]))
steps = st.one_of(
    # Mostly what a session is there for.
    *[phrases, words, speech] * 6,
    st.tuples(st.just("sound"), st.sampled_from([20, 200, 1_000]), st.sampled_from([0.0, 0.9])),
    st.tuples(st.just("ended"), jobs),
    st.tuples(st.just("failed"), jobs),
    st.tuples(st.just("update"), session_patches),
    st.tuples(st.sampled_from(["close", "odd", "played", "refused", "observer", "flushed"])),
    st.tuples(st.just("time"), st.sampled_from([0.1, 5.0, 100.0])),
)


class World:
    """One session, and what is seen of it from outside."""

    def __init__(self, kind: str, continuous: bool) -> None:
        self.kind = kind
        self.continuous = continuous
        options = effective_translation(None, "m", "en")
        wished = TranslationSettings(languages=("en", "pt"), continuous=continuous, **LIMITS)  # type: ignore[arg-type]
        self.session = TranslationSession(options, Ids(seed=b""), wished)
        self.now = 0.0
        self.heard = 0
        self.live: set[int] = set()
        self.known: set[int] = set()
        self.fed: dict[int, int] = {}
        self.over = False
        self.closed = False
        self.at = {"input": 0, "output": 0}

    def do(self, input: Any) -> None:
        twin = TranslationSession.load(self.session.dump())
        if isinstance(input, inputs.JobEnded | inputs.JobFailed):
            self.live.discard(input.job)
        done = self.session.step(self.now, input)
        assert pack(twin.step(self.now, input)) == pack(done)
        for effect in done:
            self.see(effect)
        assert len(self.live) <= MAX_JOBS
        held = self.session._state.audio.duration_ms
        assert held <= INPUT_MS

    def see(self, effect: effects.Effect) -> None:
        assert not self.over
        match effect:
            case effects.Send(event=event):
                oracle.check(event)  # type: ignore[arg-type]
                self.told(json.loads(oracle.encode(event)))
            case effects.StartJob(job=job):
                assert job not in self.known
                self.known.add(job)
                self.live.add(job)
                self.fed[job] = 0
            case effects.FeedAudio(job=job, pcm=pcm):
                assert job in self.live
                assert len(pcm) % 2 == 0
                self.fed[job] += len(pcm) // 48
                longest = INPUT_MS if self.continuous else LONGEST_MS
                assert self.fed[job] <= longest + 1_400
            case effects.FinishJob(job=job):
                assert job in self.live
            case effects.CancelJob(job=job):
                self.live.remove(job)
            case effects.HangUp():
                assert self.closed
                self.over = True

    def told(self, event: dict[str, Any]) -> None:
        assert not self.closed
        self.closed = event["type"] == "session.closed"
        if "elapsed_ms" in event:
            stream = event["type"].split(".")[1].split("_")[0]
            assert event["elapsed_ms"] % 200 == 0
            assert self.at[stream] <= event["elapsed_ms"] <= self.heard + 200
            self.at[stream] = event["elapsed_ms"]

    # ---------------------------------------------------------------------------- what happens

    def client(self, event: dict[str, Any], sender: str = "client") -> None:
        try:
            self.do(Asked(event=decode_translation_event(json.dumps(event)), sender=sender))
        except ProtocolError as error:
            members = {
                name: getattr(error, name) for name in ("type", "code", "message", "param", "event_id")
            }
            self.do(inputs.Refused(sender=sender, **members))

    def play(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("sound", length, probability):
                self.sound(length, probability)
            case ("phrase",):
                self.sound(200, 0.9)
                self.sound(400, 0.0)
            case ("heard", job, text, final):
                self.do(inputs.Transcribed(job=job, text=text, final=final))
            case ("said", job, text, length):
                self.do(inputs.Synthesized(job=job, pcm=bytes(length * 48), text=text))
            case ("ended", job):
                self.do(inputs.JobEnded(job=job))
            case ("failed", job):
                self.do(inputs.JobFailed(job=job, code="broken", message="It broke."))
            case ("update", patch):
                self.client({"type": "session.update", "session": patch, "event_id": "mine"})
            case ("close",):
                self.client({"type": "session.close"})
            case ("odd",):
                self.client({"type": "session.input_audio_buffer.append", "audio": "AA=="})
            case ("observer",):
                self.do(inputs.Attached(sender="observer", kind="sideband"))
                self.client({"type": "response.create"}, "observer")
            case ("played",):
                self.do(inputs.PlaybackEnded(item_id="translation"))
            case ("flushed",):
                self.do(inputs.Flushed(played=[]))
            case ("refused",):
                self.client({"type": "nonsense"})
            case ("time", seconds):
                self.now += seconds
                self.do(inputs.TimePassed())

    def sound(self, length: int, probability: float) -> None:
        pcm = bytes(length * 48)
        before = self.session._state.audio.end
        if self.kind == "webrtc":
            self.do(inputs.AudioReceived(pcm=pcm))
        else:
            audio = b64encode(pcm).decode()
            self.client({"type": "session.input_audio_buffer.append", "audio": audio})
        taken = self.session._state.audio.end
        self.heard = taken // 24
        if not self.continuous:
            for end in range(before + 480, taken + 1, 480):
                self.do(inputs.AudioScored(end_sample=end, probability=probability))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["websocket", "webrtc"]),
    continuous=st.booleans(),
    happens=st.lists(steps, max_size=10) | st.lists(steps, min_size=20, max_size=60),
)
def test_any_translation_keeps_its_promises(
    kind: str, continuous: bool, happens: list[tuple[Any, ...]]
) -> None:
    world = World(kind, continuous)
    world.do(inputs.Attached(sender="client", kind=kind))  # type: ignore[arg-type]
    for step in happens:
        world.play(step)
    # However it went: asked to close, it closes, at the latest when its patience is over.
    world.client({"type": "session.close"})
    for _ in range(3):
        if world.over:
            return
        deadline = world.session.deadline
        assert deadline is not None
        world.now = max(world.now, deadline)
        world.do(inputs.TimePassed())
    assert world.over
