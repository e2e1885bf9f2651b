"""Recognition, turn detection and voice of the scripted engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_help import OPTIONS, collect, engines, feed, rms_db, silence, speech, until_failure, user

from tests.pitch import pitch
from virtual_time import run_virtual
from vivavoz.engines.ports import EngineError, Speech, SpeechOptions, SttOptions, TextDelta, Transcript
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.engines.scripted.voice import PITCH, say
from vivavoz.wire.options import VOICES
from vivavoz.wire.transcription import LogProb, Segment


def hear(set_of: ScriptedEngines, *pieces: bytes) -> list[Transcript]:
    assert set_of.stt is not None
    return run_virtual(collect(set_of.stt.transcribe(feed(pieces), SttOptions())))


def say_all(text: list[str], options: SpeechOptions | None = None) -> list[Speech]:
    tts = engines().tts
    assert tts is not None
    return run_virtual(collect(tts.synthesize(feed(text), options or SpeechOptions())))


# --------------------------------------------------------------------------- recognition


def test_by_default_it_hears_how_long_was_spoken() -> None:
    *deltas, final = hear(engines(), silence(0.5), speech(2.1), silence(0.7))
    assert final == Transcript("I said something for about 2 seconds.", final=True)
    assert len(deltas) == 2
    assert "".join(delta.text for delta in deltas) == final.text
    assert not any(delta.final for delta in deltas)


@pytest.mark.parametrize("pcm", [b"", silence(2), speech(0.05)])
def test_without_sound_it_hears_nothing(pcm: bytes) -> None:
    assert hear(engines(), pcm) == [Transcript("", final=True)]


def test_spoken_turns_are_heard_in_order_and_noise_uses_up_none() -> None:
    call = engines('[[turn]]\nhears = "one"\n[[turn]]\nsays = "typed"\n[[turn]]\nhears = "two"')
    assert hear(call, speech())[-1].text == "one"
    assert hear(call, silence())[-1].text == ""
    assert hear(call, speech())[-1].text == "two"
    assert hear(call, speech())[-1].text == "I said something for about 1 second."


def test_the_script_says_how_sure_it_is_and_who_spoke() -> None:
    call = engines(
        '[[turn]]\nhears = "Hi. No."\nlogprobs = [-0.5]\n'
        'segments = [{ speaker = "A", text = "Hi.", start = 0.0, end = 0.5 }]'
    )
    assert call.stt is not None
    wanted = SttOptions(logprobs=True)
    heard = run_virtual(collect(call.stt.transcribe(feed([speech()]), wanted)))
    first, second = LogProb.of("Hi.", -0.5), LogProb.of(" No.", 0.0)
    assert heard == [
        Transcript("Hi.", logprobs=[first]),
        Transcript(" No.", logprobs=[second]),
        Transcript(
            "Hi. No.",
            final=True,
            logprobs=[first, second],
            segments=[Segment(speaker="A", text="Hi.", start=0.0, end=0.5)],
        ),
    ]
    assert [transcript.logprobs for transcript in hear(call.for_call(), speech())] == [None, None, None]


def test_every_call_begins_the_script_anew() -> None:
    shared = engines('[[turn]]\nhears = "one"\n[[turn]]\nhears = "two"')
    first, second = shared.for_call(), shared.for_call()
    assert hear(first, speech())[-1].text == "one"
    assert hear(second, speech())[-1].text == "one"
    assert hear(first, speech())[-1].text == "two"


def test_a_turn_given_up_before_its_end_is_not_used_up() -> None:
    async def main() -> str:
        stt = engines('[[turn]]\nhears = "one"\n[[turn]]\nhears = "two"').stt
        assert stt is not None
        endless: asyncio.Queue[bytes] = asyncio.Queue()

        async def audio() -> AsyncIterator[bytes]:
            yield speech()
            yield await endless.get()

        task = asyncio.ensure_future(collect(stt.transcribe(audio(), SttOptions())))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return (await collect(stt.transcribe(feed([speech()]), SttOptions())))[-1].text

    assert run_virtual(main()) == "one"


def test_recognition_can_be_late() -> None:
    async def main() -> float:
        stt = engines('[[turn]]\nhears = "one"\ndelays = { stt_ms = 700 }').stt
        assert stt is not None
        await collect(stt.transcribe(feed([speech()]), SttOptions()))
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(0.7)


def test_recognition_can_fail() -> None:
    call = engines('[[turn]]\nhears = "one"\nfails = { stage = "stt", code = "stt_down" }')
    with pytest.raises(EngineError) as caught:
        hear(call, speech())
    assert caught.value.code == "stt_down"


# --------------------------------------------------------------------------- end of turn


def test_the_turn_detector_says_what_the_script_says() -> None:
    async def judge(script: str, times: int) -> list[float]:
        turn = engines(script).turn
        assert turn is not None
        return [await turn.judge(speech()) for _ in range(times)]

    assert run_virtual(judge("", 2)) == [1.0, 1.0]
    assert run_virtual(judge("turn_probability = 0.25", 2)) == [0.25, 0.25]
    assert run_virtual(judge("turn_probability = [0.1, 0.9]", 3)) == [0.1, 0.9, 0.9]


# --------------------------------------------------------------------------- voice


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_the_words_of_all_chunks_join_to_the_text(pieces: list[str]) -> None:
    chunks = say_all(pieces)
    assert "".join(chunk.text for chunk in chunks) == "".join(pieces)
    assert all(len(chunk.pcm) % 2 == 0 and len(chunk.pcm) < 12 * 48_000 for chunk in chunks)


def test_each_word_is_a_chunk_however_the_text_arrives() -> None:
    assert [chunk.text for chunk in say_all(["He", "llo the", "re, you."])] == ["Hello", " there,", " you."]


def test_the_first_word_is_spoken_before_the_text_is_complete() -> None:
    async def main() -> str:
        tts = engines().tts
        assert tts is not None
        more = asyncio.Event()

        async def text() -> AsyncIterator[str]:
            yield "Hello there"
            await more.wait()
            yield " you"

        stream = tts.synthesize(text(), SpeechOptions())
        first = await anext(aiter(stream))
        more.set()
        return first.text

    assert run_virtual(main()) == "Hello"


def test_the_voice_is_audible_and_does_not_click() -> None:
    pcm = b"".join(chunk.pcm for chunk in say_all(["The quick brown fox jumps over the lazy dog."]))
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    assert -22 < rms_db(pcm) < -12
    assert abs(samples).max() <= 30_000
    for chunk in say_all(["The quick brown fox."]):
        word = np.frombuffer(chunk.pcm, dtype="<i2").astype(np.int32)
        assert abs(word[:24]).max() < 600
        assert abs(word[-24:]).max() < 600


def test_it_speaks_at_a_human_pace() -> None:
    text = "Some people like to walk along the river every morning before they go to work"
    words = len(text.split())
    seconds = sum(len(chunk.pcm) for chunk in say_all([text])) / 48_000
    assert 2.3 < words / seconds < 3.8


def test_speed_is_honoured() -> None:
    def seconds(speed: float) -> float:
        return sum(len(c.pcm) for c in say_all(["How fast is this?"], SpeechOptions(speed=speed))) / 48_000

    assert seconds(1.0) / seconds(1.5) == pytest.approx(1.5, rel=0.02)
    assert seconds(0.5) / seconds(1.0) == pytest.approx(2.0, rel=0.02)


def test_the_same_text_gives_the_same_samples() -> None:
    assert say_all(["Again and again."]) == say_all(["Again and again."])


def test_no_two_voices_sound_alike() -> None:
    """Each voice of the protocol is at least half a semitone from the next, at any speed."""
    for speed in (0.25, 1.0, 1.5):
        words = ["Good", "morning,", "this", "is", "how", "I", "sound."]
        heard = {voice: pitch(b"".join(say(word, voice, speed) for word in words)) for voice in VOICES}
        order = sorted(heard.values())
        assert all(after / before > 1.03 for before, after in pairwise(order)), heard
        assert all(abs(found / PITCH[voice] - 1) < 0.03 for voice, found in heard.items())
    assert len(say("hello", "somebody else", 1.0)) > 0


def test_a_voice_can_be_late_and_can_fail_in_mid_sentence() -> None:
    script = """
    [[turn]]
    says = "one two three"
    delays = { tts_first_ms = 300, tts_word_ms = 20 }
    fails = { stage = "tts", after_tokens = 2, code = "voice_lost" }
    """

    call = engines(script).for_call()
    assert call.llm is not None
    assert call.tts is not None
    llm = call.llm

    async def text() -> AsyncIterator[str]:
        async for delta in llm.reply([user("x")], OPTIONS):
            if isinstance(delta, TextDelta):
                yield delta.text

    came, error = run_virtual(until_failure(call.tts.synthesize(text(), SpeechOptions())))
    assert [(chunk.text, at) for chunk, at in came] == [("one", 0.3), (" two", 0.32)]
    assert error.code == "voice_lost"
