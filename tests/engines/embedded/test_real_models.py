"""The real models in their real processes; skipped, with the reason, where they are not on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import pytest_asyncio

from tests.pitch import brightness, pitch
from vivavoz.engines.embedded.engines import EmbeddedEngines, EngineProcesses
from vivavoz.engines.embedded.plan import EmbeddedOptions, plan
from vivavoz.engines.embedded.tokens import SPARE
from vivavoz.engines.embedded.voices import VOICES
from vivavoz.engines.ports import (
    Counts,
    EngineError,
    Finish,
    Prepares,
    ReplyOptions,
    SpeechOptions,
    SttOptions,
    Tentative,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from vivavoz.models import Store
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, InputText, Item, Message, OutputText

pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]

SENTENCE = "What is the capital of France, and how many people live there?"
LONG = "Tell me a very long story about a dog."
TRIES = 5
"""What a model says and how long, is its own affair."""
WORDS = "what is the capital of france and how many people live there"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes() -> AsyncIterator[EngineProcesses]:
    try:
        plan(EmbeddedOptions(), Store())
    except EngineError as error:
        pytest.skip(error.message)
    processes = EngineProcesses()
    await processes.start()
    await processes.settled()
    yield processes
    await processes.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(processes: EngineProcesses) -> AsyncIterator[EmbeddedEngines]:
    """One worker's view of them."""
    engines = EmbeddedEngines(directory=processes.directory)
    await engines.start()
    yield engines
    await engines.stop()


async def words(text: str) -> AsyncIterator[str]:
    for word in text.split(" "):
        yield word + " "


async def packets(pcm: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), 960):
        yield pcm[start : start + 960]


async def say(engines: EmbeddedEngines, text: str, **options: Any) -> bytes:
    assert engines.tts is not None
    spoken = [speech async for speech in engines.tts.synthesize(words(text), SpeechOptions(**options))]
    assert "".join(speech.text for speech in spoken) == text + " "
    assert all(speech.pcm for speech in spoken)
    return b"".join(speech.pcm for speech in spoken)


async def hear(engines: EmbeddedEngines, pcm: bytes) -> str:
    assert engines.stt is not None
    heard = [t async for t in engines.stt.transcribe(packets(pcm), SttOptions(language="en"))]
    assert [t.final for t in heard] == [False] * (len(heard) - 1) + [True]
    assert "".join(t.text for t in heard[:-1]) == heard[-1].text
    return heard[-1].text


def plain(text: str) -> str:
    kept = "".join(c if c.isalnum() or c.isspace() else " " for c in text.lower())
    return " ".join(kept.split())


def ask(engines: EmbeddedEngines, text: str, **options: Any) -> Any:
    if engines.llm is None:
        (row,) = [row for row in engines.status() if row.task == "llm"]
        pytest.skip(row.detail or "no language model")
    items = [Message(role="user", content=[InputText(text=text)])]
    told = {"instructions": "Answer in one short sentence.", **options}
    return engines.llm.reply(items, ReplyOptions(model="gpt-realtime", **told))


@pytest.mark.parametrize("voice", ["marin", *sorted(VOICES)[::3]])
async def test_what_is_said_is_heard(engines: EmbeddedEngines, voice: str) -> None:
    pcm = await say(engines, SENTENCE, voice=voice)
    assert 2.0 < len(pcm) / 48_000 < 5.0
    heard = plain(await hear(engines, bytes(9600) + pcm + bytes(12_000)))
    missed = set(WORDS.split()) - set(heard.split())
    assert len(missed) <= 1, heard


async def test_each_voice_is_heard_to_be_another(engines: EmbeddedEngines) -> None:
    """By pitch or by the place of the formants; and in all it is from a large speaker to a small one."""
    text = "Good morning. This is how I sound when I tell you about my day, and I do like to talk about it."
    voices = sorted(VOICES, key=lambda name: VOICES[name])
    sounds = [await say(engines, text, voice=voice) for voice in voices]
    high, bright = [pitch(sound) for sound in sounds], [brightness(sound) for sound in sounds]
    assert high[-1] / high[0] > 1.3
    assert bright[-1] / bright[0] > 1.15
    for first, second in pairwise(range(len(voices))):
        higher = high[second] / high[first]
        moved = abs(bright[second] / bright[first] - 1)
        assert higher > 0.98, (voices[first], voices[second])
        assert higher > 1.015 or moved > 0.02, (voices[first], voices[second], higher, moved)


async def test_speed(engines: EmbeddedEngines) -> None:
    """The whole of the protocol's range, in a voice that stays the same but for its intonation."""
    speeds = (0.25, 0.7, 1.0, 1.5)
    sounds = [await say(engines, SENTENCE, speed=speed) for speed in speeds]
    for slower, faster in pairwise(sounds):
        assert len(slower) > 1.2 * len(faster)
    assert len(sounds[0]) > 2.5 * len(sounds[2])
    assert max(map(pitch, sounds)) < 1.4 * min(map(pitch, sounds))


async def test_the_first_clause_is_spoken_before_the_text_is_complete(engines: EmbeddedEngines) -> None:
    assert engines.tts is not None
    more = asyncio.Event()

    async def text() -> AsyncIterator[str]:
        yield "I can certainly help you with that, "
        await more.wait()
        yield "if you like."

    async with aclosing(engines.tts.synthesize(text(), SpeechOptions())) as spoken:  # type: ignore[type-var]
        first = await anext(spoken)
        assert first.text == "I can certainly help you with that, "
        more.set()
        assert [speech.text async for speech in spoken] == ["if you like."]


async def test_text_without_words_gives_a_moment_of_silence(engines: EmbeddedEngines) -> None:
    pcm = await say(engines, "... 你好")
    assert 0 < len(pcm) < 24_000
    assert not any(pcm)


async def test_silence_and_noise_are_no_words(engines: EmbeddedEngines) -> None:
    noise = np.random.default_rng(0).normal(0, 600, 48_000).astype("<i2").tobytes()
    assert await hear(engines, bytes(96_000)) == ""
    assert await hear(engines, noise) == ""
    assert await hear(engines, b"") == ""
    click = bytes(24_000) + (await say(engines, "Hm."))[:7000] + bytes(24_000)
    assert await hear(engines, click) == ""


async def test_a_long_turn_is_cut_and_joined(engines: EmbeddedEngines) -> None:
    story = (
        "Once upon a time there was a small village by the sea. The people who lived there were fishermen. "
        "Every morning they went out in their boats, and every evening they came home again. "
        "One day a stranger arrived with a heavy bag, and nobody knew what was inside."
    )
    heard = plain(await hear(engines, await say(engines, story)))
    missed = set(plain(story).split()) - set(heard.split())
    assert len(missed) <= 4, heard
    assert abs(len(heard.split()) - len(plain(story).split())) <= 4


async def test_calls_that_speak_at_once_hear_their_own_words(engines: EmbeddedEngines) -> None:
    said = ["The weather is nice today.", "My brother has a red car.", "Please close the window.", SENTENCE]
    spoken = await asyncio.gather(*(say(engines, text) for text in said))
    heard = await asyncio.gather(*(hear(engines, pcm + bytes(9600)) for pcm in spoken))
    for text, result in zip(said, heard, strict=True):
        assert len(set(plain(text).split()) - set(plain(result).split())) <= 1, result


async def test_voice_activity_finds_speech_where_it_is(engines: EmbeddedEngines) -> None:
    pcm = await say(engines, SENTENCE)
    lead = 24_000 * 3
    stream = engines.vad.open()
    scores = [
        score
        async for part in packets(bytes(2 * lead) + pcm + bytes(48_000))
        for score in await stream.score(part)
    ]
    assert [score.end_sample for score in scores] == [768 * (n + 1) for n in range(len(scores))]
    speaking = [score.end_sample for score in scores if score.probability > 0.5]
    assert 0 <= speaking[0] - lead < 24_000 * 0.2
    assert abs(speaking[-1] - (lead + len(pcm) // 2)) < 24_000 * 0.5
    assert len(speaking) * 768 > 0.6 * len(pcm) / 2
    assert max(score.probability for score in scores[:80]) < 0.3


async def test_a_whole_question_is_more_complete_than_half_of_it(engines: EmbeddedEngines) -> None:
    if engines.turn is None:
        pytest.skip("no turn model")
    pcm = await say(engines, SENTENCE)
    whole, half = await engines.turn.judge(pcm), await engines.turn.judge(pcm[: len(pcm) // 4 * 2])
    assert 0 <= half < whole <= 1
    assert whole > 0.5


async def test_the_language_model_answers_and_counts(engines: EmbeddedEngines) -> None:
    limit = 60
    deltas = [d async for d in ask(engines, "What is the capital of France?", max_output_tokens=limit)]
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert "Paris" in text
    (usage,) = [delta for delta in deltas if isinstance(delta, Usage)]
    assert usage.input_tokens > 10
    # A token of this model is a word, or less of one.
    assert len(text.split()) <= usage.output_tokens <= limit


async def test_prepared_instructions_are_read_once(engines: EmbeddedEngines) -> None:
    if not isinstance(engines.llm, Prepares):
        pytest.skip("no language model")
    instructions = "You are the voice of a small hotel by the sea. " * 12 + "Answer in one short sentence."
    await engines.llm.prepare([], ReplyOptions(model="gpt-realtime", instructions=instructions))
    deltas = [delta async for delta in ask(engines, "Say hello.", instructions=instructions)]
    (usage,) = [delta for delta in deltas if isinstance(delta, Usage)]
    assert usage.cached_tokens > usage.input_tokens * 0.8


async def test_an_answer_in_vain_makes_way_and_one_that_is_wanted_does_not(engines: EmbeddedEngines) -> None:
    if engines.llm is None:
        pytest.skip("no language model")
    story = [Message(role="user", content=[InputText(text="Tell me a long story about the sea.")])]
    options = ReplyOptions(model="gpt-realtime")
    for wanted in (False, True):
        attempt = engines.llm.tentative()  # type: ignore[attr-defined]
        assert isinstance(attempt, Tentative)
        async with aclosing(attempt.reply(story, options)) as deltas:  # type: ignore[attr-defined]
            await anext(deltas)
            assert not wanted or await attempt.keep()
            assert [delta async for delta in ask(engines, "Hello.", max_output_tokens=4)]
            if wanted:
                assert isinstance(await anext(deltas), TextDelta)
                continue
            with pytest.raises(EngineError) as gone:
                async for _ in deltas:
                    pass
            assert gone.value.code == "engine_busy"


async def test_a_limit_on_tokens_is_a_reason_to_finish(engines: EmbeddedEngines) -> None:
    deltas = [delta async for delta in ask(engines, "Count from one to fifty.", max_output_tokens=2)]
    assert deltas[-1] == Finish("max_output_tokens")


async def test_a_cancelled_reply_makes_room_at_once(engines: EmbeddedEngines) -> None:
    limit = 20
    begin = time.monotonic()
    assert [delta async for delta in ask(engines, LONG, instructions="", max_output_tokens=limit)]
    token_s = (time.monotonic() - begin) / limit
    async with aclosing(ask(engines, LONG, instructions="")) as reply:
        await anext(reply)
    begin = time.monotonic()
    assert [delta async for delta in ask(engines, "Say hello.", max_output_tokens=4)]
    # Had the story gone on, its tokens alone would have taken longer than this: on a slow machine, too.
    assert time.monotonic() - begin < max(8, 100 * token_s)


async def test_a_conversation_longer_than_the_context_is_refused_by_name(engines: EmbeddedEngines) -> None:
    if engines.llm is None:
        pytest.skip("no language model")
    past = [
        Message(role="user" if n % 2 == 0 else "assistant", content=[InputText(text="blah 你好 " * 2000)])
        for n in range(3)
    ]
    options = ReplyOptions(model="gpt-realtime", instructions="Answer in one short sentence.")
    with pytest.raises(EngineError) as refused:
        async for _ in engines.llm.reply(past, options):
            pass
    assert refused.value.code == "context_length_exceeded"
    assert [delta async for delta in ask(engines, "Say hello.", max_output_tokens=4)]


async def test_tokens_are_counted_as_the_model_counts_them(engines: EmbeddedEngines) -> None:
    if engines.llm is None:
        pytest.skip("no language model")
    assert isinstance(engines.llm, Counts)
    items: list[Item] = [
        Message(role="user", content=[InputText(text="O que é isto? Über 你好.")]),
        Message(role="assistant", content=[OutputText(text="One, two, three.")]),
        FunctionCall(call_id="c", name="get_weather", arguments='{"city": "Lisbon"}', status="completed"),
        FunctionCallOutput(call_id="c", output="Sunny, 30 degrees."),
    ]
    options = ReplyOptions(model="gpt-realtime", instructions="Answer briefly.", max_output_tokens=1)
    counted = await engines.llm.count(items, options)
    (usage,) = [d async for d in engines.llm.reply(items, options) if isinstance(d, Usage)]
    assert usage.input_tokens - SPARE < counted.instructions + sum(counted.items) < usage.input_tokens + SPARE
    # More texts than are counted one by one share what their neighbours have together.
    many = await engines.llm.count(items[:2] * 100, options)
    assert sum(many.items) == pytest.approx(100 * sum(counted.items[:2]), rel=0.1)


async def test_what_a_truncation_has_left_need_not_be_read_again(engines: EmbeddedEngines) -> None:
    if engines.llm is None:
        pytest.skip("no language model")
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    items = [
        Message(role=roles[n % 2], content=[InputText(text=f"The truncated number {n} comes after {n - 1}.")])
        for n in range(21)
    ]
    options = ReplyOptions(model="gpt-realtime", instructions="Keep to the numbers.", max_output_tokens=2)
    used = []
    for given in (items, items[4:]):
        used += [delta async for delta in engines.llm.reply(given, options) if isinstance(delta, Usage)]
    assert used[1].cached_tokens > used[1].input_tokens * 0.8


async def test_a_killed_language_model_fails_the_reply_and_answers_the_next(
    engines: EmbeddedEngines, processes: EngineProcesses
) -> None:
    for _ in range(TRIES):
        # A story that was told before the signal came was not disturbed.
        failed = await killed_meanwhile(engines, processes)
        assert await say(engines, "We go on.")
        assert [delta async for delta in ask(engines, "Say hello.", max_output_tokens=8)]
        if failed is not None:
            break
    assert failed is not None, f"{TRIES} stories were told to their end"
    assert failed.code == "engine_unavailable"


async def killed_meanwhile(engines: EmbeddedEngines, processes: EngineProcesses) -> EngineError | None:
    """What a long reply fails with whose process is killed at its first word."""
    async with aclosing(ask(engines, LONG, instructions="")) as reply:
        await anext(reply)
        pid = processes.supervisor.processes["llm"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        try:
            async for _ in reply:
                pass
        except EngineError as error:
            return error
    return None


async def test_a_call_of_a_function_where_it_is_asked_for() -> None:
    options = EmbeddedOptions(stages=("llm",), llm_tools=True)
    if not plan(options, Store())["llm"].present:
        pytest.skip("no language model")
    engines = EmbeddedEngines(options)
    await engines.start()
    try:
        weather = {
            "type": "function",
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        }
        calls: list[ToolCallDelta] = []
        for _ in range(TRIES):
            # A call that the model does not end is not made.
            reply = ask(engines, "What is the weather in Lisbon?", tools=[weather], tool_choice="required")
            calls += [delta async for delta in reply if isinstance(delta, ToolCallDelta)]
            if calls:
                break
        assert calls
        for call in calls:
            assert call.name == "get_weather"
            assert "city" in json.loads(call.arguments)
    finally:
        await engines.stop()
