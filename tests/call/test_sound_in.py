"""Sound that comes in events, in the session's format."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry


@pytest.mark.parametrize(("format", "bytes_per_s"), [("pcm", 48_000), ("pcmu", 8_000), ("pcma", 8_000)])
def test_sound_is_taken_in_the_sessions_format(format: str, bytes_per_s: int) -> None:
    """Three seconds are three seconds."""

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        heard = {
            "format": {"type": f"audio/{format}"},
            "transcription": {"model": "any"},
            "turn_detection": None,
        }
        client.say("session.update", session={"type": "realtime", "audio": {"input": heard}})
        await client.until("session.updated")
        client.say("input_audio_buffer.append", audio=b64encode(bytes(3 * bytes_per_s)).decode())
        client.say("input_audio_buffer.commit")
        done = await client.until("conversation.item.input_audio_transcription.completed")
        assert done["usage"] == {"type": "duration", "seconds": 3}

    play(scene)
