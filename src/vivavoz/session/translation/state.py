"""Everything a translation session remembers, as one tree of plain data."""

from __future__ import annotations

from vivavoz.session.ids import Ids
from vivavoz.session.input_audio import InputAudio
from vivavoz.session.turn import Turn
from vivavoz.wire.base import Data, Fixed
from vivavoz.wire.translation import TranslationOptions


class TranslationSettings(Fixed, frozen=True):
    """What the operator and the engines decide, once, for a session.

    ``languages``: what the translator can say (ISO 639-1); None: anything that has a name.
    ``continuous``: the translator wants all sound in one stream, not phrase by phrase.
    ``duration_s``, ``expires_at``, ``reduces_noise``: as for other sessions.
    ``input_ms``: the most of the caller's sound that waits to be translated.
    ``drain_s``: the longest time from ``session.close`` to ``session.closed``.
    """

    languages: tuple[str, ...] | None = None
    continuous: bool = False
    duration_s: float = 3_600.0
    expires_at: int = 0
    input_ms: int = 300_000
    drain_s: float = 120.0
    reduces_noise: bool = True


class Said(Fixed, frozen=True):
    """A piece of a translation: sound, and the words it says."""

    pcm: bytes
    text: str
    elapsed_ms: int


class Wrote(Fixed, frozen=True):
    """Some of the caller's own words."""

    text: str
    elapsed_ms: int


class Phrase(Data):
    """What one job translates. Positions are the caller's samples since the session began."""

    language: str
    start: int
    fed: int
    """Up to where the job has heard, or will at first."""
    end: int | None = None
    """None while it is spoken."""
    job: int | None = None
    begun: bool = False
    over: bool = False
    """The job has ended, one way or the other."""
    succeeded: bool = False
    understood: bool = False
    """All of the caller's words are known."""
    heard: str = ""
    said: str = ""
    words: list[Wrote] = []
    """Not told yet, because of a phrase before this one; ``speech`` likewise."""
    speech: list[Said] = []
    kept: int = 0
    """Bytes of sound in ``speech``."""
    wrote: bool = False
    """Some of its words were told; ``spoke``: some of its translation was."""
    spoke: bool = False


class State(Data, kw_only=True):
    id: str
    ids: Ids
    settings: TranslationSettings
    options: TranslationOptions
    audio: InputAudio
    turn: Turn
    cut: int = 0
    """Where the last phrase ended."""
    began: float | None = None
    plays: bool = False
    """Sound in and out is a media transport's."""
    phrases: list[Phrase] = []
    """Those not told to their end, oldest first; only the last can still be spoken."""
    context: list[tuple[str, str]] = []
    wrote: str = ""
    """The last character told of the caller's words; ``said``: of the translation."""
    said: str = ""
    full: bool = False
    """Sound of a media transport is being left out, and the client knows."""
    closing: float | None = None
    """When the client asked for the end."""
    closed: float | None = None
    """When ``session.closed`` was sent."""
    sounded: bool = False
    """Some sound was sent."""
    playing_out: bool = False
    """No more sound will come, and a media transport is playing what there is."""
    ended: bool = False

    @property
    def spoken(self) -> Phrase | None:
        """The phrase being spoken."""
        last = self.phrases[-1] if self.phrases else None
        return last if last is not None and last.end is None else None

    def phrase_of(self, job: int) -> Phrase | None:
        return next((phrase for phrase in self.phrases if phrase.job == job), None)
