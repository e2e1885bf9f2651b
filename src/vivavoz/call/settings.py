"""What the operator decides for all calls of a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from vivavoz.session.state import Yielding
from vivavoz.wire.options import VOICES


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and switches of the calls. Times in seconds unless the name says ms."""

    sessions: int = 100
    """Calls alive at once; one more is refused."""
    session_seconds: float = 3_600.0
    input_ms: int = 300_000
    """The most of a caller's uncommitted sound that is kept; the longest turn."""
    reject_echo: bool = True
    """Whether our own voice in the caller's microphone is told from speech (where playout is ours)."""
    interrupt_after_ms: int = 0
    """How long a caller must have spoken before an answer ends (ms); 0: as soon as they speak."""
    yielding: Yielding | None = None
    """How interruptions are told from back-channels, while our voice is held; None: everything is one."""
    speculate: Literal["auto", "always", "off"] = "auto"
    """Whether a turn may be answered in secret before it is over: only with engines that are cheap to ask in
    vain, with any, or not."""
    playout_ms: int = 5_000
    """Sound queued ahead of the caller's ear; beyond it the voice waits."""
    inbox_messages: int = 2_048
    """What a client may have sent that is not handled yet; beyond it the connection is closed (1013)."""
    inbox_bytes: int = 32 * 2**20
    connect_seconds: float = 30.0
    """How long an opened call may be without its first connection."""
    engine_seconds: float = 120.0
    """Longest wait for an engine's next word or sound; then the job has failed."""
    tokens_per_minute: int | None = None
    """What all calls of one account may use; beyond it responses fail. None: as many as they like."""
    transcribers: tuple[str, ...] | None = None
    """Names that ``transcription.model`` may be; transcriptions by others fail. None: any name will do."""
    tells_rate_limits: bool = True
    """Whether clients are sent ``rate_limits.updated``, where tokens are limited."""
    drain_seconds: float = 10.0
    replay_bytes: int = 256 * 1024
    """A call's newest events, kept for observers who want them again; 0: none."""
    voices: tuple[str, ...] = VOICES
    trace_dir: Path | None = None
    """Where to record each call's inputs. They hold words and sound: off unless asked for."""
    trace_bytes: int = 64 * 2**20
    """The most one trace may take."""
    deterministic: bool = False
    """Ids are counted and ``expires_at`` is fixed, so that equal input gives equal events. Anybody can guess
    such ids: for tests only."""
