"""The conversation script: what the scripted engines hear, say and call, how slowly, and where they fail.

A small TOML file, described for people in ``docs/scripted-engines.md``. Everything in it is checked when it
is loaded; :class:`ScriptError` names the file and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vivavoz.engines.scripted.faults import Faults
from vivavoz.wire.transcription import Segment

Milliseconds = Annotated[float, Meta(ge=0, le=600_000)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Stage = Literal["stt", "llm", "tts"]


class ScriptError(Exception):
    """A script that cannot be used; the message names the file, the key and what is wrong with it."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Delays(_Table, frozen=True):
    """Waits in milliseconds of the event loop's clock; None is no wait."""

    stt_ms: Milliseconds | None = None
    """From the end of the caller's turn to the first words recognised."""
    first_token_ms: Milliseconds | None = None
    """Before a reply's first token."""
    token_ms: Milliseconds | None = None
    """Before each token after the first."""
    tts_first_ms: Milliseconds | None = None
    """Before a reply's first sound."""
    tts_word_ms: Milliseconds | None = None
    """Before the sound of each word after the first."""

    def over(self, defaults: Delays) -> Delays:
        """These delays, with those of ``defaults`` where one is not set."""
        mine = {name: getattr(self, name) for name in self.__struct_fields__}
        return Delays(
            **{name: getattr(defaults, name) if ms is None else ms for name, ms in mine.items()},
        )


class Failure(_Table, frozen=True):
    """The engine of ``stage`` fails after so many tokens (words, for stt and tts)."""

    stage: Stage
    after_tokens: Annotated[int, Meta(ge=0)] = 0
    code: Annotated[str, Meta(min_length=1)] = "scripted_failure"
    message: str = "The script lets this engine fail."


class Call(_Table, frozen=True):
    """A function call. ``arguments`` as a table, or as text that is sent as it stands (even broken)."""

    name: Annotated[str, Meta(min_length=1)]
    arguments: dict[str, Any] | str = {}

    @property
    def json(self) -> str:
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class Step(_Table, frozen=True):
    """One answer of the model."""

    says: str | None = None
    repeat: Annotated[int, Meta(ge=1, le=1000)] = 1
    """How often ``says`` is said, for long answers."""
    calls: list[Call] = []
    delays: Delays = Delays()
    fails: Failure | list[Failure] = []
    finish: Literal["content_filter"] | None = None
    """Ends the answer as the hosted content filter does."""

    def failure(self, stage: Stage) -> Failure | None:
        failures = [self.fails] if isinstance(self.fails, Failure) else self.fails
        return next((failure for failure in failures if failure.stage == stage), None)


class Turn(Step, frozen=True):
    """One turn of the caller and the answer to it."""

    hears: str | None = None
    """What recognition makes of it when it is spoken. ``""``: nothing, as for noise."""
    logprobs: list[Annotated[float, Meta(le=0)]] = []
    """How sure recognition is of each word of ``hears``, for sessions that want to know; 0, certain, of the
    words after the last."""
    segments: list[Segment] = []
    """Who said what of ``hears``, as a recogniser tells that knows speakers apart."""
    when: str | None = None
    """Regular expression: this answers whatever it is found in, in any order, any number of times."""
    then: str | list[Step] = []
    """The answer after the outputs of ``calls`` have come; a list answers one round of outputs each."""

    def __post_init__(self) -> None:
        if self.when is None:
            return
        try:
            re.compile(self.when)
        except re.error as error:
            raise ValueError(f"`when` is not a regular expression: {error}") from None

    @property
    def steps_after(self) -> list[Step]:
        return [Step(says=self.then)] if isinstance(self.then, str) else self.then

    def matches(self, heard: str) -> bool:
        return self.when is not None and re.search(self.when, heard, re.IGNORECASE) is not None


class Defaults(_Table, frozen=True):
    """What holds where no turn says otherwise. ``{heard}``, ``{output}`` and ``{duration}`` are filled in."""

    greeting: str = "Hello. I am the scripted voice of vivavoz."
    """Said when there is nothing to answer yet."""
    says: str = "You said: {heard}"
    says_to_nothing: str = "I did not hear anything."
    says_to_image: str = "You sent an image."
    after_output: str = "The result is: {output}"
    hears: str = "I said something for about {duration}."
    translates: str = "In {language}: {heard}"
    """Said in a translation session."""
    delays: Delays = Delays()


class Window(_Table, frozen=True):
    """How much the model can read and say, in the tokens of the scripted engines."""

    tokens: Annotated[int, Meta(ge=1)]
    output: Annotated[int, Meta(ge=1)] = 4_096


class Script(_Table, frozen=True):
    plan: Literal["cascade", "converse"] = "cascade"
    """``converse``: one speech-to-speech engine instead of recognition, language model and voice."""
    turn_probability: Probability | list[Probability] = 1.0
    """How complete the turn detector finds each utterance; the last of a list holds for all that follow."""
    window: Window | None = None
    """None: the model reads whatever it is given."""
    defaults: Defaults = Defaults()
    turn: list[Turn] = []
    faults: Faults = Faults()
    """What goes wrong around the engines."""

    def __post_init__(self) -> None:
        if self.turn_probability == []:
            raise ValueError("`turn_probability` must not be an empty list")

    @classmethod
    def parse(cls, text: str, name: str = "script") -> Script:
        """Read a script's text; ``name`` stands for the file in errors. Raises :class:`ScriptError`."""
        try:
            return cls.of(tomllib.loads(text), name)
        except tomllib.TOMLDecodeError as error:
            raise ScriptError(f"{name}: not TOML: {error}") from None

    @classmethod
    def of(cls, tables: Mapping[str, Any], name: str = "script") -> Script:
        """A script from what its file would hold. Raises :class:`ScriptError`."""
        try:
            return msgspec.convert(tables, cls)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            key = where.rstrip("`").lstrip(".") or "(top level)"
            raise ScriptError(f"{name}: {key}: {what}") from None

    @classmethod
    def load(cls, path: str | Path) -> Script:
        """Read a script file (UTF-8). Raises :class:`ScriptError`."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ScriptError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ScriptError(f"{path}: not UTF-8 text") from None
        return cls.parse(text, str(path))

    def in_no_time(self) -> Script:
        """The same script without the delays of its engines. Its faults stay: they are there to be met."""
        turns = [
            msgspec.structs.replace(
                turn,
                delays=Delays(),
                then=turn.then
                if isinstance(turn.then, str)
                else [msgspec.structs.replace(step, delays=Delays()) for step in turn.then],
            )
            for turn in self.turn
        ]
        defaults = msgspec.structs.replace(self.defaults, delays=Delays())
        return msgspec.structs.replace(self, turn=turns, defaults=defaults)

    @classmethod
    def default(cls) -> Script:
        """The script that ships in the package: answers anything."""
        resource = resources.files(__package__) / "default.toml"
        return cls.parse(resource.read_text(encoding="utf-8"), "default.toml")
