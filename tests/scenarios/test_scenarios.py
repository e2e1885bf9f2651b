"""Every scenario plays as written, and keeps every promise that any conversation keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.playbook import Mismatch, Player, Step, scenarios
from tests.session import oracle
from tests.session.watch import Watch
from vivavoz.session.effects import Send
from vivavoz.session.session import Session
from vivavoz.wire.codec import pack


def title(path: Path) -> str:
    return path.stem.replace("_", " ")


@pytest.fixture(params=scenarios(), ids=title)
def player(request: pytest.FixtureRequest) -> Player:
    return Player(request.param)


def trace(player: Player) -> list[Step]:
    steps = player.play()
    assert steps, "a scenario in which nothing happens"
    return steps


def test_plays_as_written_and_keeps_its_promises(player: Player) -> None:
    watch = Watch()
    for step in trace(player):
        watch.saw(step.input, step.effects)
        for effect in step.effects:
            if isinstance(effect, Send):
                oracle.check(effect.event)


def test_replays_to_the_same_effects(player: Player) -> None:
    steps, again = trace(player), player.fresh()
    for step in steps:
        assert pack(again.step(step.now, step.input)) == pack(step.effects)


def test_dumping_and_loading_between_any_two_steps_changes_nothing(player: Player) -> None:
    steps, again = trace(player), player.fresh()
    for step in steps:
        again = Session.load(again.dump())
        assert pack(again.step(step.now, step.input)) == pack(step.effects)


def test_a_mismatch_shows_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "a_story.txt"
    path.write_text(
        "over websocket\n> response.create {}\n< response.created {response: {status: completed}}\n"
    )
    with pytest.raises(Mismatch) as mismatch:
        Player(path).play()
    text = str(mismatch.value)
    assert "a story (line 3)" in text
    assert "---- < response.created {response: {status: completed}}" in text
    assert '++++ < response.created {"response": {"object": "realtime.response", "id": "resp_1"' in text


@pytest.mark.parametrize(
    "story",
    [
        "> response.create {}\n",
        "> response.create {}\n< response.created\n",
        "> response.create {}\n< response.created\n! reply\n! reply\n",
        "> session.update {session: {type: realtime}}\n< session.updated {session: {model: <absent>}}\n",
    ],
    ids=["nothing expected", "too little expected", "too much expected", "present, not absent"],
)
def test_what_a_scenario_leaves_out_is_a_mismatch(tmp_path: Path, story: str) -> None:
    path = tmp_path / "story.txt"
    path.write_text(story)
    with pytest.raises(Mismatch):
        Player(path).play()
