"""The client events of the input and the output audio buffer."""

from __future__ import annotations

from vivavoz.session import listening, rules, utterance
from vivavoz.session.effects import Flush
from vivavoz.session.input_audio import SAMPLE_BYTES, to_ms
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.wire.client_events import (
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
)
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.server_events import InputAudioBufferCleared

MIN_COMMIT_MS = 100


def append(state: State, out: Output, event: InputAudioBufferAppend) -> None:
    """ "Unlike other client events, the server will not send a confirmation"."""
    if len(event.audio) % SAMPLE_BYTES:
        raise invalid_value(
            "Invalid 'audio'. Expected 16-bit samples, but got an odd number of bytes.", "audio"
        )
    duration = state.audio.duration_ms + to_ms(len(event.audio) // SAMPLE_BYTES)
    if state.options.audio.input.turn_detection is None and duration > state.settings.input_ms:
        raise ProtocolError(
            f"Error appending input audio: the buffer would hold {duration:.0f}ms of uncommitted audio, "
            f"but at most {state.settings.input_ms}ms are kept. Commit or clear it first.",
            code="input_audio_buffer_full",
            param="audio",
        )
    listening.receive(state, out, event.audio)


def commit(state: State, out: Output, event: InputAudioBufferCommit) -> None:
    """Push to talk, or the end of a turn that the VAD is still following. Creates no response."""
    rule = state.options.audio.input.turn_detection
    if rule is None:
        duration = state.audio.duration_ms
    else:
        # What is buffered between turns belongs to nobody yet.
        duration = to_ms(state.audio.end - state.spoke.start) if state.spoke else 0.0
    if duration < MIN_COMMIT_MS:
        raise ProtocolError(
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
            f"buffer only has {duration:.2f}ms of audio.",
            code="input_audio_buffer_commit_empty",
        )
    rules.commit(state, out, state.audio.end)


def clear(state: State, out: Output, event: InputAudioBufferClear) -> None:
    utterance.abandon(state, out)
    state.audio.clear()
    out.send(InputAudioBufferCleared)
    rules.answer(state, out)


def output_clear(state: State, out: Output, event: OutputAudioBufferClear) -> None:
    """ "WebRTC/SIP only": stop what is being played; answered by ``output_audio_buffer.cleared``."""
    if not state.playout.enabled:
        raise ProtocolError(
            "'output_audio_buffer.clear' is only supported over WebRTC and SIP.",
            code="invalid_value",
            param="type",
        )
    if state.playout.busy:
        out.do(Flush())
