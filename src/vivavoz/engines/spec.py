"""How a set of engines is written down; ``build.py`` makes the set from it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

BUILT_IN_SETS = ("scripted", "embedded", "multilingual")


class RemoteStage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="remote"
):
    """One stage served by an OpenAI-compatible endpoint."""

    base_url: Annotated[str, Meta(pattern=r"^https?://")]
    model: str
    api_key_env: str | None = None
    """Name of the environment variable that holds the endpoint's key; None: no key is sent."""
    voice: str | None = None
    timeout_seconds: Annotated[float, Meta(gt=0)] = 30.0
    images: bool = False
    """A language model that sees: images go along in the conversation."""
    reasoning: bool = False
    """A language model that can be told how long to think (``reasoning_effort``)."""
    logprobs: bool = False
    """Recognition that says how sure it is of each token (``include=["logprobs"]``)."""
    context_tokens: Annotated[int, Meta(ge=16)] | None = None
    """A language model's context, prompt and answer together; None: it is not known, and what the endpoint
    finds too long is shortened."""
    output_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Tokens of the context that are kept for the answer, where the session allows as many; None: 4,096, but
    no more than a quarter."""


class EmbeddedStage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="embedded"
):
    """One stage served on this machine, by a model of the catalogue (``vivavoz models``)."""

    model: str | None = None
    threads: Annotated[int, Meta(ge=1, le=256)] | None = None
    language: Annotated[str, Meta(pattern="^[A-Za-z]{2,3}([-_].+)?$")] | None = None
    """Recognition: of sessions that name none. Voice: of all that is said. ISO 639-1; None: found out."""


Stage = Literal["scripted", "embedded", "none"] | RemoteStage | EmbeddedStage


class EngineSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which engine does which stage of a call. Stages that are not named are ``base``'s."""

    base: Literal["scripted", "embedded"] = "embedded"
    vad: Literal["scripted", "embedded"] | EmbeddedStage | None = None
    turn: Literal["none", "embedded"] | EmbeddedStage | None = None
    stt: Stage | None = None
    llm: Stage | None = None
    tts: Stage | None = None
    script: str | None = None
    """Conversation script of the scripted stages; None: the one that ships."""

    def stage(self, name: str) -> Stage:
        """What does ``name`` (vad, turn, stt, llm or tts) in this set."""
        chosen: Stage | None = getattr(self, name)
        return self.base if chosen is None else chosen


MULTILINGUAL = EngineSet(stt=EmbeddedStage(model="whisper-base"), tts=EmbeddedStage(model="kokoro"))
"""The set ``multilingual``: the embedded one, with a recogniser and a voice that know more than English."""
