"""Whatever a caller says over our voice while it is held, decided about and let go on: the conversation keeps
what was heard, no more and no less. The session and the real playout together, in virtual time."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.playbook import received
from vivavoz.media.playout import Playout
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings, Yielding
from vivavoz.wire.merging import effective_session
from vivavoz.wire.server_events import (
    ConversationItemTruncated,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
    OutputAudioDelta,
    ResponseDone,
    SpeechStarted,
)

TICK_MS = 20
FADE = 240
SECOND = 24_000
SAID = ("", "Mm-hm.", "Yeah, right.", "Wait, please.", "How much is it?")
MEANT = SAID[3:]


class Utterance:
    """``speech_ms`` of speech, ``after_ms`` later; the recogniser takes ``delay_ms`` for it."""

    def __init__(self, drawn: tuple[int, int, str, int]) -> None:
        self.after_ms, self.speech_ms, self.words, self.delay_ms = drawn


class Room:
    """A caller, a recogniser, a model whose every answer is 3 s long, and the playout, tick by tick."""

    def __init__(self, utterances: list[Utterance]) -> None:
        settings = Settings(yielding=Yielding())
        self.session = Session(effective_session(None, "gpt-realtime"), Ids(seed=b""), settings)
        self.playout = Playout()
        self.held = False
        self.sent: list[object] = []
        self.heard: dict[str, int] = {}
        """By item: samples of it that were really played, fades left out."""
        self.written: dict[str, int] = {}
        self.said: list[Utterance] = []
        self.listening: set[int] = set()
        self.due: list[tuple[int, inputs.Input]] = []
        self.tick = self.end = 0
        self.audible = self.fades = 0
        self.answers = 0
        self.utterances = utterances
        self.give(inputs.Attached(sender="client", kind="webrtc"))
        self.give(received('{"type": "response.create"}', "client"))

    def give(self, happened: inputs.Input) -> None:
        waiting = [happened]
        while waiting:
            for effect in self.session.step(self.tick * TICK_MS / 1000, waiting.pop(0)):
                self.carry_out(effect, waiting)

    def carry_out(self, effect: effects.Effect, waiting: list[inputs.Input]) -> None:
        match effect:
            case effects.Hold():
                self.playout.hold()
                self.held = True
                self.fades += 1
                waiting.append(inputs.Held(left_ms=self.playout.queued_ms))
            case effects.Release():
                self.playout.release()
                self.held = False
            case effects.Flush():
                self.fades += 1
                played = self.playout.flush()
                for each in played:
                    assert each.samples == self.heard.get(each.tag, 0)
                told = [inputs.ItemPlayed(item_id=each.tag, samples=each.samples) for each in played]
                waiting.append(inputs.Flushed(played=told))
            case effects.EndAudio(item_id=item_id):
                self.playout.end(item_id)
            case effects.Send(event=event):
                self.sent.append(event)
                if isinstance(event, OutputAudioDelta):
                    pcm = event.delta
                    self.playout.write(pcm, event.item_id)
                    self.written[event.item_id] = self.written.get(event.item_id, 0) + len(pcm) // 2
            case effects.StartJob(job=job, task=effects.Reply()):
                self.answers += 1
                self.later(100, inputs.RepliedText(job=job, text="Three."), inputs.JobEnded(job=job))
            case effects.StartJob(job=job, task=effects.Synthesize()):
                second = np.full(SECOND, 10_000, dtype="<i2").tobytes()
                for number in range(3):
                    piece = inputs.Synthesized(job=job, pcm=second, text=f"word{number} ")
                    self.later(200 * (number + 1), piece)
                self.later(700, inputs.JobEnded(job=job))
            case effects.StartJob(job=job, task=effects.Transcribe()):
                self.listening.add(job)
            case effects.FinishJob(job=job) if job in self.listening:
                utterance = self.said.pop(0)
                self.later(utterance.delay_ms, inputs.Transcribed(job=job, text=utterance.words, final=True))

    def later(self, ms: int, *happening: inputs.Input) -> None:
        self.due += [(self.tick + ms // TICK_MS, each) for each in happening]

    def run(self, ms: int, speech: bool) -> None:
        for _ in range(ms // TICK_MS):
            self.tick += 1
            due = [each for at, each in self.due if at <= self.tick]
            self.due = [each for each in self.due if each[0] > self.tick]
            for happened in due:
                self.give(happened)
            self.take()
            self.give(inputs.AudioReceived(pcm=bytes(TICK_MS * 48)))
            self.end += TICK_MS * 24
            self.give(inputs.AudioScored(end_sample=self.end, probability=0.9 if speech else 0.0))
            deadline = self.session.deadline
            if deadline is not None and self.tick * TICK_MS / 1000 >= deadline:
                self.give(inputs.TimePassed())

    def take(self) -> None:
        before = {tag.name: tag.sent for tag in self.playout._tags.values()}
        frame = self.playout.take()
        after = {tag.name: tag.sent for tag in self.playout._tags.values()}
        after |= {played.tag: played.samples for played in frame.played}
        for tag, sent in after.items():
            self.heard[tag] = self.heard.get(tag, 0) + sent - before.get(tag, 0)
            assert sent == before.get(tag, 0) or not self.held
        if frame.pcm is not None:
            self.audible += int(np.count_nonzero(np.frombuffer(frame.pcm, dtype="<i2")))
        for tag in frame.playing:
            self.give(inputs.PlaybackStarted(item_id=tag))
        for played in frame.played:
            self.give(inputs.PlaybackEnded(item_id=played.tag))

    def kept(self) -> dict[str, int]:
        """By item of ours: how much of its sound the conversation has."""
        entries = self.session._state.conversation.entries.values()
        return {str(each.item.id): each.spoken.samples for each in entries if each.spoken is not None}

    def of(self, kind: type) -> list[object]:
        return [event for event in self.sent if isinstance(event, kind)]


utterances = st.builds(
    Utterance,
    st.tuples(
        st.sampled_from([300, 700, 1_500, 4_000]),
        st.sampled_from([60, 200, 600, 1_000]),
        st.sampled_from(SAID),
        st.sampled_from([0, 100, 500, 1_600]),
    ),
)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(utterances, max_size=4))
def test_the_conversation_keeps_what_was_heard(utterances: list[Utterance]) -> None:
    room = Room(utterances)
    for utterance in utterances:
        room.run(utterance.after_ms, speech=False)
        room.said.append(utterance)
        room.run(utterance.speech_ms, speech=True)
    room.run(5_000 + 4_000 * room.answers, speech=False)

    assert not room.held
    assert room.playout.queued == 0
    assert room.session._state.barge is None
    kept = room.kept()
    assert {item: samples for item, samples in kept.items() if samples} == {
        item: samples for item, samples in room.heard.items() if samples
    }
    cut = {event.item_id for event in room.of(ConversationItemTruncated)}  # type: ignore[attr-defined]
    for item, samples in room.written.items():
        assert (kept[item] < samples) <= (item in cut), "lost without a word"
    # A second way to count: what could be heard, of which a fade more is lost at each hold and each flush.
    assert sum(kept.values()) <= room.audible <= sum(kept.values()) + FADE * room.fades

    assert len(room.of(SpeechStarted)) <= len(utterances)
    assert len(room.of(ResponseDone)) == room.answers
    ends = len(room.of(OutputAudioBufferStopped)) + len(room.of(OutputAudioBufferCleared))
    assert len(room.of(OutputAudioBufferStarted)) == ends
    assert not room.session._state.flushing
    if any(each.words in MEANT for each in utterances):
        assert room.answers > 1
    else:
        assert not cut
