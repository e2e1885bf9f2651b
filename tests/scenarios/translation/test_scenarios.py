"""Every translation scenario plays as written, in events that the official SDK reads."""

from __future__ import annotations

import pytest

from tests.scenarios.translation.playbook import TranslationPlayer, scenarios
from tests.session.translation import oracle
from vivavoz.session.effects import CancelJob, FeedAudio, FinishJob, HangUp, Send, StartJob
from vivavoz.session.translation.session import TranslationSession
from vivavoz.wire.codec import pack


@pytest.fixture(params=scenarios(), ids=lambda path: path.stem.replace("_", " "))
def player(request: pytest.FixtureRequest) -> TranslationPlayer:
    return TranslationPlayer(request.param)


def test_plays_as_written_and_keeps_its_promises(player: TranslationPlayer) -> None:
    live: set[int] = set()
    over = False
    for step in player.play():
        for effect in step.effects:
            assert not over, "something follows a hang-up"
            match effect:
                case Send(event=event):
                    oracle.check(event)  # type: ignore[arg-type]
                case StartJob(job=job):
                    assert job not in live
                    live.add(job)
                case FeedAudio(job=job) | FinishJob(job=job):
                    assert job in live
                case CancelJob(job=job):
                    live.remove(job)
                case HangUp():
                    over = True


def test_dumping_and_loading_between_any_two_steps_changes_nothing(player: TranslationPlayer) -> None:
    steps, again = player.play(), player.fresh()
    for step in steps:
        again = TranslationSession.load(again.dump())
        assert pack(again.step(step.now, step.input)) == pack(step.effects)
