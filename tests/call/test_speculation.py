"""An answer is begun in secret as soon as the caller is silent: sooner, and otherwise as if it were not."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.call.guessing import Drafts, Faults, Guessing, Llm, Tts
from tests.call.sounds import silence, voice
from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.rates import TokenRates
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings

When = Literal["auto", "always", "off"]
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
VAD = {"type": "server_vad", "silence_duration_ms": 400, "prefix_padding_ms": 0}


class Scene:
    """One caller over WebSocket; sound in frames of 20 ms, in virtual real time."""

    def __init__(
        self, llm: Llm | None = None, tts: Tts | None = None, when: When = "auto", mishears: int = 0
    ) -> None:
        self.llm, self.tts = llm or Llm(), tts or Tts()
        self.engines = Guessing(Drafts(mishears), self.llm, self.tts)
        self.settings = CallSettings(deterministic=True, speculate=when)
        self.client = FakeTransport()

    def play(self, act: Any) -> Scene:
        async def scene(calls: CallRegistry) -> None:
            self.client.join(calls.open(None, "gpt-realtime"))
            session = {"type": "realtime", "instructions": "Bo", "tools": [FUNCTION]}
            self.client.say(
                "session.update",
                session={
                    **session,
                    "audio": {"input": {"turn_detection": VAD, "transcription": {"model": "w"}}},
                },
            )
            await act(self)

        play(scene, self.settings, self.engines)
        return self

    @property
    def told(self) -> str:
        """All events, ids renamed in the order in which they come: which id a function call gets depends on
        what was said before the model had thought of it, however that was made."""
        names: dict[str, str] = {}
        return re.sub(
            r"\b(event|item|resp|call)_\w{21}\b",
            lambda found: names.setdefault(found[0], f"{found[1]}_{len(names)}"),
            json.dumps(self.client.events),
        )

    async def speak(self, *pieces: int) -> None:
        """ms of speech, ms of silence, and so on."""
        for number, ms in enumerate(pieces):
            pcm = silence(ms) if number % 2 or not ms else voice(ms)
            for at in range(0, len(pcm), 960):
                self.client.speak(pcm[at : at + 960])
                await asyncio.sleep(0.02)

    async def turn(self, *pieces: int) -> dict[str, Any]:
        answered = self.client.types().count("response.done")
        await self.speak(*pieces, 600)
        return await self.client.until("response.done", answered + 1)


def test_the_answer_is_there_when_the_turn_is_over() -> None:
    """The model takes 1.1 s for its first 11 words, the voice 0.1 s for each: 300 ms of that are gained, the
    silence behind the draft."""
    took: dict[str, float] = {}
    for when in ("off", "auto"):
        llm = Llm(token_s=0.05)
        scene = Scene(llm, Tts(word_s=0.05), when=when)  # type: ignore[arg-type]

        async def act(scene: Scene, when: str = when) -> None:
            began = asyncio.get_running_loop().time()
            speaking = asyncio.create_task(scene.speak(500, 1000))
            await scene.client.until("response.output_audio.delta")
            took[when] = asyncio.get_running_loop().time() - began
            await speaking
            await scene.client.until("response.done")

        scene.play(act)
        assert (llm.attempts, llm.kept, llm.asked) == ((1, 1, 0) if when == "auto" else (0, 0, 1))
    # Off: 900 ms to the turn's end, then two words and one of sound.
    assert took["off"] == pytest.approx(1.05, abs=0.05)
    assert took["auto"] == pytest.approx(0.92, abs=0.05)


async def two_turns(scene: Scene) -> None:
    await scene.turn(400)
    await scene.turn(300, 200, 300, 200, 300)


FAULTS = [
    Faults(),
    Faults(refuses=True),
    Faults(breaks=True),
    Faults(way=True),
]


@pytest.mark.parametrize("llm", range(4))
@pytest.mark.parametrize("tts", range(4))
def test_whatever_befalls_what_is_made_in_secret_nobody_can_tell(llm: int, tts: int) -> None:
    plain = Scene(Llm(token_s=0.03), Tts(word_s=0.03), when="off").play(two_turns)
    model, voice = Llm(FAULTS[llm], token_s=0.03), Tts(FAULTS[tts], word_s=0.03)
    secretly = Scene(model, voice).play(two_turns)
    assert secretly.told == plain.told
    assert "response.function_call_arguments.done" in plain.client.types()
    assert model.attempts == 4
    assert model.kept == (0 if llm in (1, 2, 3) else 2)
    assert model.running == voice.running == 0


def test_a_caller_who_goes_on_is_not_answered_and_the_engines_are_free_at_once() -> None:
    async def act(scene: Scene) -> None:
        speaking = asyncio.create_task(scene.speak(400, 300, 100))
        await asyncio.sleep(0.6)
        assert scene.llm.running == scene.tts.running == 1
        await speaking
        assert scene.llm.running == scene.tts.running == 0
        assert scene.client.types()[-1] == "input_audio_buffer.speech_started"
        await scene.speak(20)
        scene.client.say("input_audio_buffer.clear")
        await scene.speak(20)
        assert not [kind for kind in scene.client.types() if kind.startswith("response.")]

    scene = Scene(Llm(token_s=0.05), Tts(word_s=5)).play(act)
    assert scene.llm.asked == scene.llm.kept == 0


@pytest.mark.parametrize(
    "changes",
    [
        ("session.update", {"session": {"type": "realtime", "instructions": "Cy"}}),
        ("session.update", {"session": {"type": "realtime", "max_output_tokens": 7}}),
        (
            "conversation.item.create",
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}},
        ),
    ],
)
def test_what_changes_the_question_begins_another_answer(changes: tuple[str, dict[str, Any]]) -> None:
    kind, members = changes

    async def act(scene: Scene) -> None:
        await scene.speak(400, 200)
        assert scene.llm.attempts == 1
        scene.client.say(kind, **members)
        await scene.speak(0, 20)
        assert scene.llm.attempts == 2
        await scene.speak(0, 400)
        await scene.client.until("response.done")

    scene = Scene(Llm(token_s=0.03)).play(act)
    assert (scene.llm.kept, scene.llm.asked) == (1, 0)
    assert (
        scene.client.events == Scene(Llm(token_s=0.03), when="off").play(changed(kind, members)).client.events
    )


def changed(kind: str, members: dict[str, Any]) -> Any:
    async def act(scene: Scene) -> None:
        await scene.speak(400, 200)
        scene.client.say(kind, **members)
        await scene.speak(0, 420)
        await scene.client.until("response.done")

    return act


def test_other_words_in_the_end_are_answered_anew() -> None:
    scene = Scene(mishears=1)

    async def act(scene: Scene) -> None:
        await scene.turn(400)

    scene.play(act)
    assert (scene.llm.attempts, scene.llm.kept, scene.llm.asked) == (1, 0, 1)
    assert scene.told == Scene(when="off", mishears=1).play(act).told


def test_a_voice_that_changes_after_the_reply_has_begun_is_another_voice() -> None:
    async def act(scene: Scene) -> None:
        await scene.speak(400, 300)
        await scene.client.until("input_audio_buffer.speech_started")
        scene.client.say("session.update", session={"type": "realtime", "audio": {"output": {"speed": 1.5}}})
        await scene.speak(0, 400)
        await scene.client.until("response.done")

    scene = Scene(Llm(token_s=0.02), Tts(word_s=0.02)).play(act)
    assert scene.llm.attempts == 2
    assert (scene.tts.kept, scene.tts.asked) == (1, 0)


def test_engines_that_cost_money_are_asked_in_vain_only_where_that_is_wanted() -> None:
    class Billed:
        """The same, without a way to give way."""

        def __init__(self, llm: Llm) -> None:
            self.reply = llm.reply

    for when, asked in (("auto", 1), ("off", 1), ("always", 2)):
        llm = Llm(token_s=0.03)
        scene = Scene(llm, when=when)  # type: ignore[arg-type]
        scene.engines.llm = Billed(llm)  # type: ignore[assignment]

        async def act(scene: Scene) -> None:
            await scene.turn(300, 300, 300)

        scene.play(act)
        # A draft after each stretch: the first of them in vain.
        assert llm.asked == asked
        assert llm.running == 0


def test_who_has_no_tokens_left_is_not_answered_in_secret() -> None:
    async def act(scene: Scene) -> None:
        await scene.turn(400)
        assert scene.llm.attempts == 1
        done = await scene.turn(400)
        assert done["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert scene.llm.attempts == 1

    async def scene(calls: CallRegistry) -> None:
        played.client.join(calls.open(None, "gpt-realtime", account="a"))
        detection = {"turn_detection": VAD}
        played.client.say("session.update", session={"type": "realtime", "audio": {"input": detection}})
        await act(played)

    played = Scene()
    assert TokenRates(1, lambda: 0.0).left("a").remaining == 1
    play(scene, CallSettings(tokens_per_minute=1), played.engines)


def test_a_call_that_ends_leaves_nothing_running() -> None:
    async def act(scene: Scene) -> None:
        await scene.speak(400, 200)
        assert scene.llm.running == 1

    scene = Scene(Llm(token_s=1), Tts(word_s=1)).play(act)
    assert scene.llm.running == scene.tts.running == 0


# ------------------------------------------------------------------------------------- in general

STEPS = st.one_of(
    st.tuples(st.just("speech"), st.sampled_from([20, 100, 300])),
    st.tuples(st.just("silence"), st.sampled_from([20, 60, 140, 200, 460])),
    st.tuples(st.just("silence"), st.sampled_from([140, 460])),
    st.tuples(
        st.sampled_from(["update", "item", "respond", "respond_other", "cancel", "clear", "manual", "text"]),
        st.just(0),
    ),
)


def message(kind: str, number: int) -> dict[str, Any]:
    match kind:
        case "update":
            return {"type": "session.update", "session": {"type": "realtime", "instructions": f"N{number}"}}
        case "text":
            session = {"type": "realtime", "output_modalities": ["text"]}
            return {"type": "session.update", "session": session}
        case "manual":
            detection = {**VAD, "create_response": False}
            return {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
            }
        case "item":
            part = {"type": "input_text", "text": f"call {number}"}
            item = {"type": "message", "role": "user", "content": [part]}
            return {"type": "conversation.item.create", "item": item}
        case "respond":
            return {"type": "response.create"}
        case "respond_other":
            return {"type": "response.create", "response": {"instructions": "other", "tool_choice": "none"}}
        case "cancel":
            return {"type": "response.cancel"}
    return {"type": "input_audio_buffer.clear"}


@settings(max_examples=60)
@given(
    st.lists(STEPS, min_size=4, max_size=24),
    st.sampled_from(FAULTS),
    st.sampled_from(FAULTS),
    st.integers(0, 3),
    st.sampled_from(["auto", "always"]),
)
def test_nothing_that_a_client_sees_depends_on_it(
    steps: list[tuple[str, int]], llm: Faults, tts: Faults, mishears: int, when: When
) -> None:
    """Engines take no time here, so that the client, too, does everything at the same moment of the talk."""

    async def act(scene: Scene) -> None:
        for number, (kind, ms) in enumerate(steps):
            if kind in ("speech", "silence"):
                await scene.speak(*((ms,) if kind == "speech" else (0, ms)))
            else:
                scene.client.say(**message(kind, number))
        await scene.speak(0, 700)
        await asyncio.sleep(10)

    plain = Scene(when="off", mishears=mishears).play(act)
    secretly = Scene(Llm(llm), Tts(tts), when=when, mishears=mishears).play(act)
    assert secretly.told == plain.told
    assert secretly.llm.running == secretly.tts.running == 0
