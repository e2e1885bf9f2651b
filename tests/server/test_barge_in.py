"""``barge_in = "hold"`` over real WebRTC: a cough or a back-channel lets the answer go on, words end it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.rig import post_offer
from tests.server.test_end_to_end import KEY, config, serving
from vivavoz.config.tables import Turn
from vivavoz.engines.scripted.voice import say
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Utterance, Voice, trimmed

SCRIPT = """
[[turn]]
when = "numbers"
says = "seven eleven "
repeat = 40

[[turn]]
hears = ""
[[turn]]
hears = "Mm-hm."
[[turn]]
hears = "That is enough."
says = "Good."
"""
SPEECH = trimmed(b"".join(say(f"{word} ", "echo", 1.2) for word in ("now", "please", "tell")))


async def spoken_over(voice: Voice, listener: Listener) -> Utterance:
    """Say something into our voice, which is silent before it is over."""
    utterance = voice.say(SPEECH)
    await utterance.over.wait()
    last = listener.last_audible(utterance.began, utterance.ended)
    assert last is not None, "there was nothing to speak over"
    assert last < utterance.ended - 0.1, "the voice went on while the caller spoke"
    return utterance


async def test_only_words_end_an_answer(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    settings = msgspec.structs.replace(config(tmp_path), script=str(script), turn=Turn(barge_in="hold"))
    voice, listener = Voice(), Listener()
    async with serving(settings, KEY) as url:
        peer = Peer(Peers(), voice, listener)
        await peer.connect(lambda offer: post_offer(url, offer, key=KEY))
        content = [{"type": "input_text", "text": "Say numbers."}]
        item = {"type": "message", "role": "user", "content": content}
        peer.send({"type": "conversation.item.create", "item": item})
        peer.send({"type": "response.create"})
        started, _ = await peer.wait_for("output_audio_buffer.started")
        await listener.audible(after=started + 0.2)

        for _ in ("a cough", "a back-channel"):
            utterance = await spoken_over(voice, listener)
            committed, _ = await peer.wait_for("input_audio_buffer.committed", after=utterance.ended)
            back = await listener.audible(after=committed, timeout_s=10)
            await listener.audible(after=back.arrived + 0.3)
        ends = {"response.done", "output_audio_buffer.cleared", "conversation.item.truncated"}
        assert not ends & {event["type"] for _, event in peer.events}

        utterance = await spoken_over(voice, listener)
        cancelled, done = await peer.wait_for("response.done", after=utterance.began)
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        _, truncated = await peer.wait_for("conversation.item.truncated", after=utterance.began)
        cut_s = truncated["audio_end_ms"] / 1000
        audible = [
            each for each in listener.heard if each.arrived < utterance.ended and each.first is not None
        ]
        # All that was heard, and nothing of the silences in which it was held.
        assert len(audible) * 0.02 <= cut_s + 0.2
        assert cut_s < utterance.ended - started - 2 * (len(SPEECH) / 48_000 - 0.5)
        _, done = await peer.wait_for("response.done", after=cancelled)
        assert done["response"]["status"] == "completed"
        said = done["response"]["output"][0]["content"][0]["transcript"]
        assert said.strip() == "Good."
        await peer.close()
