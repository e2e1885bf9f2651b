"""The caller's sound comes in."""

from __future__ import annotations

from vivavoz.session.effects import Score
from vivavoz.session.input_audio import to_samples
from vivavoz.session.output import Output
from vivavoz.session.state import State


def receive(state: State, out: Output, pcm: bytes) -> None:
    """Sound of the caller's, from an event or from the media path."""
    start = state.audio.append(pcm)
    if pcm and state.options.audio.input.turn_detection is not None:
        out.do(Score(pcm=pcm, start_sample=start))
    # Push to talk on a media transport, or a VAD that has stopped: sound keeps flowing, and what nobody
    # commits is forgotten in the end.
    state.audio.drop_before(state.audio.end - to_samples(state.settings.input_ms))
