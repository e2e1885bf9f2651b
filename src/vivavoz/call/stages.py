"""What a call spends its time on: plain records of its turns, responses and jobs, and who wants them.

A record holds times, names and counts; never words, prompts, sound or a credential. Times are seconds on the
call's clock (``asyncio``'s, which does not go backwards), None where the stage was not reached.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vivavoz.wire.options import Tracing

JobKind = Literal[
    "stt", "turn", "count", "llm", "tts", "speech_to_speech", "translation", "mcp_list", "mcp_call"
]

TurnOutcome = Literal["understood", "wordless", "failed", "discarded"]


class SessionStages(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is, as far as its stages are concerned. ``tracing``: what the client wants them called;
    None: it wants none."""

    session_id: str
    type: str
    model: str | None
    tracing: Literal["auto"] | Tracing | None


class JobStages(msgspec.Struct, kw_only=True):
    """One job. ``first``: its first word, call or sound. ``code``: why it failed, by the protocol's name."""

    job: int
    kind: JobKind
    started: float
    first: float | None = None
    ended: float | None = None
    outcome: Literal["completed", "cancelled", "failed"] | None = None
    code: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class TurnStages(msgspec.Struct, kw_only=True):
    """One turn of the caller's, found by VAD or committed by the client (``started`` is None then).

    ``started_ms``, ``stopped_ms``: as the events say them, in the caller's sound. ``spoken``: when the last
    frame with speech came; for a turn that the client committed, the commit. ``paused``: when the VAD found
    the silence that ended the turn; ``decided``: when the turn was over, which for server VAD is the same
    moment and for semantic VAD the turn detector's verdict or the longest wait. ``transcribed``: the final
    transcript."""

    item_id: str
    started_ms: int | None = None
    stopped_ms: int | None = None
    started: float | None = None
    spoken: float | None = None
    paused: float | None = None
    decided: float | None = None
    transcribed: float | None = None
    ended: float | None = None
    outcome: TurnOutcome | None = None
    code: str | None = None
    jobs: list[JobStages] = []


class ResponseStages(msgspec.Struct, kw_only=True):
    """One response. ``item_id``: the turn it answers. ``llm_*`` are a speech-to-speech model's too;
    ``transcribed``: when such a model said what it had heard.
    ``first_packet``: its sound began to leave the machine (WebRTC; over WebSocket the client plays).
    ``ended``: ``response.done``; ``reason``: the name in its ``status_details``."""

    response_id: str
    item_id: str | None = None
    out_of_band: bool = False
    created: float
    llm_started: float | None = None
    first_token: float | None = None
    llm_ended: float | None = None
    transcribed: float | None = None
    tts_started: float | None = None
    first_audio: float | None = None
    tts_ended: float | None = None
    first_packet: float | None = None
    ended: float | None = None
    status: str | None = None
    reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    jobs: list[JobStages] = []


class TurnTimings(msgspec.Struct, frozen=True, kw_only=True):
    """What an answered turn took: milliseconds from the end of the caller's speech, None where unknown.

    ``vad_ms``: the silence was found; ``turn_ms``: the turn was over; ``stt_ms``: the final transcript;
    ``llm_first_token_ms``; ``tts_first_audio_ms``; ``first_packet_ms``: the answer could be heard."""

    response_id: str
    item_id: str
    vad_ms: int | None = None
    turn_ms: int | None = None
    stt_ms: int | None = None
    llm_first_token_ms: int | None = None
    tts_first_audio_ms: int | None = None
    first_packet_ms: int | None = None


MAX_JOBS = 64
"""Jobs that one record lists."""


def note(owner: TurnStages | ResponseStages, job: JobStages) -> None:
    """List a job with what it is done for."""
    if len(owner.jobs) < MAX_JOBS:
        owner.jobs.append(job)


class StageListener:
    """Told of what is over, from the call's own task: return soon. What one does not care for is left as it
    is here. One that raises is told nothing more."""

    def session(self, now: float, session: SessionStages) -> None:
        """The session has begun, or was updated."""

    def turn(self, turn: TurnStages) -> None:
        """A turn was understood, or never will be. The record changes no more; so with all of them."""

    def response(self, response: ResponseStages) -> None:
        """A response has ended, and began to be heard or never will."""

    def job(self, job: JobStages) -> None:
        """A job that belongs to neither (an MCP server's list, the sound of an item that a client made)."""

    def timings(self, timings: TurnTimings) -> None:
        """A turn was answered. Told together with the response."""

    def closed(self, now: float) -> None:
        """The call is over; everything that was open was told before."""


def timings_of(turn: TurnStages, response: ResponseStages) -> TurnTimings:
    """What the turn that ``response`` answers took."""

    def since_speech(at: float | None) -> int | None:
        return None if at is None or turn.spoken is None else round((at - turn.spoken) * 1000)

    return TurnTimings(
        response_id=response.response_id,
        item_id=turn.item_id,
        vad_ms=since_speech(turn.paused),
        turn_ms=since_speech(turn.decided),
        stt_ms=since_speech(response.transcribed if turn.transcribed is None else turn.transcribed),
        llm_first_token_ms=since_speech(response.first_token),
        tts_first_audio_ms=since_speech(response.first_audio),
        first_packet_ms=since_speech(response.first_packet),
    )


__all__ = [
    "JobKind",
    "JobStages",
    "ResponseStages",
    "SessionStages",
    "StageListener",
    "TurnOutcome",
    "TurnStages",
    "TurnTimings",
    "timings_of",
]
