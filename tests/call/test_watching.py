"""The stages of a call, watched step by step: every time in the records is one that the test gave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.call.sounds import silence, voice
from tests.call.test_call import play
from tests.call.transports import FakeTransport
from tests.scenarios.playbook import Player, scenarios
from vivavoz.call.registry import CallRegistry
from vivavoz.call.stages import JobStages, ResponseStages, StageListener, TurnStages, TurnTimings
from vivavoz.call.watched_turns import MAX_OPEN
from vivavoz.call.watching import StageWatch
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.client_events import ConversationItemCreate, InputAudioBufferCommit, ResponseCreate
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.options import (
    AudioOptions,
    InputOptions,
    SemanticVad,
    ServerVad,
    SessionOptions,
    TurnDetection,
)
from vivavoz.wire.server_events import ResponseCreated

TURNS = ServerVad(silence_duration_ms=200)

FRAME = 480
"""20 ms."""


class Kept(StageListener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.turns: list[TurnStages] = []
        self.responses: list[ResponseStages] = []
        self.jobs: list[JobStages] = []
        self.answered: list[TurnTimings] = []
        self.over: list[float] = []

    def turn(self, turn: TurnStages) -> None:
        self.turns.append(turn)

    def response(self, response: ResponseStages) -> None:
        self.responses.append(response)

    def job(self, job: JobStages) -> None:
        self.jobs.append(job)

    def timings(self, timings: TurnTimings) -> None:
        self.answered.append(timings)

    def closed(self, now: float) -> None:
        self.over.append(now)


class Scene:
    """A session, watched. ``now`` is set by the test."""

    def __init__(
        self,
        rule: TurnDetection | None = TURNS,
        kind: Any = "webrtc",
        **settings: Any,
    ) -> None:
        options = SessionOptions(audio=AudioOptions(input=InputOptions(turn_detection=rule)))
        self.session = Session(options, Ids(seed=b""), Settings(**settings))
        self.watch = StageWatch()
        self.kept = Kept()
        self.watch.listen(self.kept)
        self.now = 0.0
        self.sample = 0
        self.jobs: dict[type, int] = {}
        self.step(inputs.Attached(sender="t1", kind=kind))

    def step(self, input: inputs.Input) -> list[effects.Effect]:
        done = self.session.step(self.now, input)
        self.watch.step(self.now, input, done, self.session.voiced)
        for effect in done:
            if isinstance(effect, effects.StartJob):
                self.jobs[type(effect.task)] = effect.job
        return done

    def hear(self, ms: int, speech: bool) -> None:
        """Sound that arrives as fast as it is spoken."""
        for _ in range(ms // 20):
            self.now += 0.02
            self.sample += FRAME
            self.step(inputs.AudioReceived(pcm=bytes(2 * FRAME)))
            if self.session.options.audio.input.turn_detection is not None:
                self.step(inputs.AudioScored(end_sample=self.sample, probability=float(speech)))

    def at(self, now: float, input: inputs.Input) -> list[effects.Effect]:
        self.now = now
        return self.step(input)

    def understood(self, now: float, text: str = "hello") -> None:
        self.at(now, inputs.Transcribed(job=self.jobs[effects.Transcribe], text=text, final=True))

    def send(self, event: Any) -> list[effects.Effect]:
        return self.step(inputs.Received(event=event, sender="t1"))

    def answer(self, start: float) -> None:
        """Every 100 ms something: token, end of the reply, sound, end of the voice."""
        self.at(start + 0.1, inputs.RepliedText(job=self.jobs[effects.Reply], text="Hi."))
        self.at(
            start + 0.2,
            inputs.RepliedUsage(
                job=self.jobs[effects.Reply], input_tokens=7, output_tokens=3, cached_tokens=2
            ),
        )
        self.at(start + 0.2, inputs.JobEnded(job=self.jobs[effects.Reply]))
        speech = self.jobs[effects.Synthesize]
        self.at(start + 0.3, inputs.Synthesized(job=speech, pcm=b"", text=""))
        self.at(start + 0.4, inputs.Synthesized(job=speech, pcm=bytes(960), text="Hi."))
        self.at(start + 0.5, inputs.JobEnded(job=speech))

    def spoken_item(self) -> str:
        return self.session._state.playout.queue[0].item_id


def about(seconds: float | None) -> Any:
    return pytest.approx(seconds, abs=1e-6)


def test_a_turn_and_its_answer_over_webrtc() -> None:
    scene = Scene()
    scene.hear(100, speech=False)
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.answer(1.5)
    assert not scene.kept.responses, "its sound has not begun to leave"
    scene.at(2.1, inputs.PlaybackStarted(item_id=scene.spoken_item()))
    (turn,), (response,), (timings,) = scene.kept.turns, scene.kept.responses, scene.kept.answered
    assert turn.started_ms == 0
    assert turn.stopped_ms == 1300
    assert (turn.started, turn.spoken) == (about(0.14), about(1.1))
    assert (turn.paused, turn.decided) == (about(1.3), about(1.3))
    assert (turn.transcribed, turn.ended, turn.outcome) == (1.5, 1.5, "understood")
    (stt,) = turn.jobs
    assert (stt.kind, stt.started, stt.ended, stt.outcome) == ("stt", about(0.14), 1.5, "completed")
    assert (response.item_id, response.status, response.reason) == (turn.item_id, "completed", None)
    assert (response.created, response.llm_started, response.first_token) == (1.5, 1.5, 1.6)
    assert (response.llm_ended, response.tts_started, response.tts_ended) == (1.7, 1.6, 2.0)
    assert (response.first_audio, response.ended, response.first_packet) == (1.9, 2.0, 2.1)
    assert (response.input_tokens > 7, response.output_tokens) == (True, 4)
    llm, tts = response.jobs
    assert (llm.kind, llm.first, llm.input_tokens, llm.output_tokens, llm.cached_tokens) == (
        "llm",
        1.6,
        7,
        3,
        2,
    )
    assert (tts.kind, tts.first, tts.ended, tts.outcome) == ("tts", 1.8, 2.0, "completed")
    assert timings == TurnTimings(
        response_id=response.response_id,
        item_id=turn.item_id,
        vad_ms=200,
        turn_ms=200,
        stt_ms=400,
        llm_first_token_ms=500,
        tts_first_audio_ms=800,
        first_packet_ms=1000,
    )


def test_over_websocket_nobody_knows_when_it_is_heard() -> None:
    scene = Scene(kind="websocket")
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.answer(1.5)
    (timings,) = scene.kept.answered
    assert timings.first_packet_ms is None
    assert timings.tts_first_audio_ms == 900


def test_a_turn_detectors_verdict_is_the_decision() -> None:
    scene = Scene(SemanticVad(), judges_turns=True)
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    scene.at(1.35, inputs.Judged(job=scene.jobs[effects.Judge], probability=0.9))
    scene.at(1.36, inputs.JobEnded(job=scene.jobs[effects.Judge]))
    scene.understood(1.5)
    scene.answer(1.5)
    scene.at(2.1, inputs.PlaybackStarted(item_id=scene.spoken_item()))
    (timings,), (turn,) = scene.kept.answered, scene.kept.turns
    assert (timings.vad_ms, timings.turn_ms) == (200, 350)
    assert [job.kind for job in turn.jobs] == ["stt", "turn"]


def test_push_to_talk_counts_from_the_commit() -> None:
    scene = Scene(rule=None, kind="websocket")
    scene.hear(400, speech=True)
    scene.now = 1.0
    scene.send(InputAudioBufferCommit())
    scene.send(ResponseCreate())
    scene.understood(1.25)
    scene.answer(1.25)
    (turn,), (timings,) = scene.kept.turns, scene.kept.answered
    assert (turn.started, turn.spoken, turn.decided) == (None, 1.0, 1.0)
    assert [job.kind for job in turn.jobs] == ["stt"]
    assert (timings.vad_ms, timings.turn_ms, timings.stt_ms, timings.llm_first_token_ms) == (
        None,
        0,
        250,
        350,
    )


def test_an_answer_that_is_cut_before_it_is_heard() -> None:
    scene = Scene()
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.answer(1.5)
    item = scene.spoken_item()
    scene.hear(100, speech=True)
    scene.step(inputs.Flushed(played=[inputs.ItemPlayed(item_id=item, samples=0)]))
    (response,), (timings,) = scene.kept.responses, scene.kept.answered
    assert (response.status, response.first_packet, timings.first_packet_ms) == ("completed", None, None)


def test_a_failed_job_names_its_failure() -> None:
    scene = Scene(kind="websocket")
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.at(
        1.6, inputs.JobFailed(job=scene.jobs[effects.Reply], code="engine_timeout", message="secret words")
    )
    (response,) = scene.kept.responses
    assert (response.status, response.reason) == ("failed", "engine_timeout")
    (llm,) = response.jobs
    assert (llm.outcome, llm.code, llm.ended) == ("failed", "engine_timeout", 1.6)


@pytest.mark.parametrize("while_speaking", [True, False])
def test_a_turn_that_could_not_be_understood(while_speaking: bool) -> None:
    scene = Scene(kind="websocket")
    scene.hear(500, speech=True)
    failed = inputs.JobFailed(job=scene.jobs[effects.Transcribe], code="stt_down", message="")
    if while_speaking:
        scene.step(failed)
    scene.hear(200, speech=False)
    if not while_speaking:
        scene.step(failed)
    (turn,), (response,) = scene.kept.turns, scene.kept.responses
    assert (turn.outcome, turn.code) == ("failed", "stt_down")
    assert (response.status, response.item_id) == ("failed", turn.item_id)


def test_noise_takes_no_answer_from_the_question_before_it() -> None:
    scene = Scene(kind="websocket")
    scene.hear(500, speech=True)
    scene.hear(200, speech=False)
    question = scene.jobs[effects.Transcribe]
    scene.hear(100, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5, text="")
    scene.at(1.6, inputs.Transcribed(job=question, text="Well?", final=True))
    scene.answer(1.6)
    noise, turn = scene.kept.turns
    assert (noise.outcome, turn.outcome) == ("wordless", "understood")
    assert [timings.item_id for timings in scene.kept.answered] == [turn.item_id]


def test_a_response_without_a_turn_has_no_timings() -> None:
    scene = Scene(kind="websocket")
    scene.send(ResponseCreate())
    scene.answer(0.0)
    (response,) = scene.kept.responses
    assert (response.item_id, scene.kept.answered) == (None, [])


def test_an_out_of_band_response_answers_no_turn() -> None:
    scene = Scene(rule=None, kind="websocket")
    scene.hear(400, speech=True)
    scene.send(InputAudioBufferCommit())
    scene.send(decode_client_event('{"type": "response.create", "response": {"conversation": "none"}}'))
    scene.understood(1.0)
    scene.answer(1.0)
    (response,) = scene.kept.responses
    assert response.out_of_band
    assert response.item_id is None


def test_silence_that_times_out_is_no_turn() -> None:
    scene = Scene(ServerVad(idle_timeout_ms=5_000), kind="websocket")
    scene.send(ResponseCreate())
    scene.answer(0.0)
    scene.hear(100, speech=False)
    scene.at(20.0, inputs.TimePassed())
    scene.answer(20.0)
    assert [response.item_id for response in scene.kept.responses] == [None, None]
    assert scene.kept.turns == []


def test_sound_that_a_client_puts_into_an_item_is_a_job_of_no_turn() -> None:
    scene = Scene(kind="websocket")
    sound = "A" * 6400
    part = f'{{"type": "input_audio", "audio": "{sound}"}}'
    item = f'{{"type": "message", "role": "user", "content": [{part}]}}'
    event = decode_client_event(f'{{"type": "conversation.item.create", "item": {item}}}')
    assert isinstance(event, ConversationItemCreate)
    scene.send(event)
    scene.understood(0.5)
    scene.at(0.6, inputs.JobEnded(job=scene.jobs[effects.Transcribe]))
    assert [(job.kind, job.ended) for job in scene.kept.jobs] == [("stt", 0.6)]
    assert scene.kept.turns == []


def test_a_speech_to_speech_model_says_what_it_heard() -> None:
    scene = Scene(kind="websocket", plan="converse")
    scene.hear(1000, speech=True)
    scene.hear(200, speech=False)
    job = scene.jobs[effects.Converse]
    scene.at(1.5, inputs.Transcribed(job=job, text="hello", final=True))
    scene.at(1.6, inputs.Synthesized(job=job, pcm=bytes(960), text="Hi."))
    scene.at(1.8, inputs.JobEnded(job=job))
    (timings,), (response,) = scene.kept.answered, scene.kept.responses
    assert (timings.stt_ms, timings.llm_first_token_ms, timings.tts_first_audio_ms) == (500, 600, 600)
    assert [job.kind for job in response.jobs] == ["speech_to_speech"]


def test_a_turn_that_never_was() -> None:
    scene = Scene(kind="websocket")
    scene.hear(500, speech=True)
    scene.send(decode_client_event('{"type": "input_audio_buffer.clear"}'))
    (turn,) = scene.kept.turns
    assert (turn.outcome, turn.decided) == ("discarded", None)


def test_at_the_end_everything_is_told() -> None:
    scene = Scene()
    scene.hear(500, speech=True)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.at(1.6, inputs.RepliedText(job=scene.jobs[effects.Reply], text="Hi."))
    scene.hear(200, speech=True)
    scene.watch.closed(5.0)
    first, second = scene.kept.turns
    assert (first.outcome, second.outcome) == ("understood", "discarded")
    assert [response.status for response in scene.kept.responses] == ["cancelled"]
    assert scene.kept.over == [5.0]
    assert all(job.ended is not None for turn in scene.kept.turns for job in turn.jobs)


def test_what_is_open_is_bounded() -> None:
    scene = Scene(kind="websocket")
    count = MAX_OPEN + 5
    for _ in range(count):
        scene.send(decode_client_event('{"type": "response.create", "response": {"conversation": "none"}}'))
    assert len(scene.kept.responses) == 5
    scene.watch.closed(1.0)
    assert len(scene.kept.responses) == count


def test_a_listener_that_breaks_is_told_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(StageListener):
        told = 0

        def turn(self, turn: TurnStages) -> None:
            self.told += 1
            raise RuntimeError("no")

    scene = Scene(kind="websocket")
    broken = Broken()
    scene.watch.listen(broken)
    for _ in range(2):
        scene.hear(500, speech=True)
        scene.send(decode_client_event('{"type": "input_audio_buffer.clear"}'))
    assert broken.told == 1
    assert len(scene.kept.turns) == 2


def test_who_has_gone_is_told_nothing_and_who_comes_is_told_of_what_begins() -> None:
    scene = Scene(kind="websocket")
    scene.watch.unlisten(scene.kept)
    scene.hear(500, speech=True)
    late = Kept()
    scene.watch.listen(late)
    scene.hear(200, speech=False)
    scene.understood(1.5)
    scene.answer(1.5)
    assert scene.kept.turns == []
    assert [response.status for response in late.responses] == ["completed"]


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_every_scenario_can_be_watched(path: Path) -> None:
    """Whatever happens: every job that began is told once, with its end, and every response too."""
    player = Player(path)
    session, watch, kept = player.fresh(), StageWatch(), Kept()
    watch.listen(kept)
    started: set[int] = set()
    created: list[str] = []
    for step in player.play():
        done = session.step(step.now, step.input)
        watch.step(step.now, step.input, done, session.voiced)
        for effect in done:
            if isinstance(effect, effects.StartJob):
                started.add(effect.job)
            if isinstance(effect, effects.Send) and isinstance(effect.event, ResponseCreated):
                created.append(effect.event.response.id)
    watch.closed(10_000.0)
    owners = [*kept.turns, *kept.responses]
    told = [*kept.jobs, *(job for owner in owners for job in owner.jobs)]
    assert sorted(job.job for job in told) == sorted(started)
    assert all(job.ended is not None and job.outcome is not None for job in told)
    assert sorted(response.response_id for response in kept.responses) == sorted(created)
    assert len({turn.item_id for turn in kept.turns}) == len(kept.turns)
    for timings in kept.answered:
        assert timings.item_id in {turn.item_id for turn in kept.turns}


def test_the_records_of_a_real_call() -> None:
    """The call watches itself: with the media path's own reports, and jobs that really run."""

    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        kept = Kept()
        call.stages.listen(kept)
        client = FakeTransport("webrtc").join(call)
        for chunk in (silence(300), voice(900), silence(600)):
            for start in range(0, len(chunk), 960):
                client.speak(chunk[start : start + 960])
                await asyncio.sleep(0.02)
        done = await client.until("response.done")
        assert client.attachment is not None
        client.attachment.playing(done["response"]["output"][0]["id"])
        await client.until("output_audio_buffer.started")
        (timings,) = kept.answered
        stages = [
            timings.vad_ms,
            timings.turn_ms,
            timings.stt_ms,
            timings.llm_first_token_ms,
            timings.tts_first_audio_ms,
            timings.first_packet_ms,
        ]
        assert all(stage is not None for stage in stages)
        assert stages == sorted(stages, key=lambda stage: stage or 0)
        call.hangup("enough")
        await call.closed.wait()
        assert len(kept.over) == 1

    play(scene)
