"""Translation on the embedded multilingual engines; skipped, with the reason, where they are not here."""

from __future__ import annotations

import asyncio

import pytest

from tests.call.test_translation import sound, speak, wishes, words
from tests.call.transports import FakeTransport
from tests.speech import real_speech, silence
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.build import build_engines
from vivavoz.engines.embedded.plan import KOKORO, WHISPER, EmbeddedOptions, plan
from vivavoz.engines.multilingual.espeak import find_espeak
from vivavoz.engines.multilingual.language import guess
from vivavoz.engines.ports import EngineError
from vivavoz.engines.spec import MULTILINGUAL
from vivavoz.models import Store
from vivavoz.wire.errors import ProtocolError

pytestmark = pytest.mark.embedded

SENTENCES = (
    "The train to Lisbon leaves at nine o'clock.",
    "My brother comes home by train.",
    "The train is late today, and we are waiting at the station.",
)
"""What a small model makes of one of them is its own affair."""


async def test_english_is_said_in_portuguese() -> None:
    try:
        planned = plan(EmbeddedOptions(stt_model=WHISPER, tts_model=KOKORO), Store())
        find_espeak()
    except EngineError as error:
        pytest.skip(error.message)
    if not planned["llm"].present:
        pytest.skip(planned["llm"].detail or "no language model")
    engines = build_engines(MULTILINGUAL)
    await engines.start()
    try:
        async with CallRegistry(lambda _: engines) as calls:
            with pytest.raises(ProtocolError, match="'pt' and 'en'"):
                calls.open_translation(wishes("ja"), "any")
            said = ""
            for sentence in SENTENCES:
                async with asyncio.timeout(180):
                    client = await translated(calls, sentence)
                said = words(client, "output")
                if guess(said, otherwise="en") == "pt":
                    break
        # A small model: that something of it is Portuguese is all that can be asked of it.
        assert guess(said, otherwise="en") == "pt", said
        assert len(sound(client)) > 48_000
    finally:
        await engines.stop()


async def translated(calls: CallRegistry, sentence: str) -> FakeTransport:
    """A call in which it was said and translated."""
    client = FakeTransport().join(calls.open_translation(wishes("pt"), "any"))
    await speak(client, silence(0.3) + real_speech(sentence) + silence(0.7))
    client.say("session.close")
    await client.until("session.closed")
    assert "train" in words(client, "input").lower()
    return client
