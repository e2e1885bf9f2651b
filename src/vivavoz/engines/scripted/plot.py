"""Where in the script a conversation stands: a pure function of the script and the conversation's items."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vivavoz.engines.scripted.script import Script, Step, Turn
from vivavoz.wire.items import (
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the model has before it."""

    heard: tuple[str, ...] = ()
    """What the caller said or typed, message by message; empty where nothing was understood."""
    image: bool = False
    """Whether the last message shows an image."""
    outputs: tuple[str, ...] = ()
    """Tool outputs that wait for an answer: those after all else."""
    rounds: int = 0
    """How often tools have answered since the caller last spoke."""

    @property
    def last_heard(self) -> str:
        return self.heard[-1] if self.heard else ""


def text_of(message: Message) -> str:
    """The words of a message, typed or spoken."""
    parts = []
    for part in message.content:
        if isinstance(part, InputText | OutputText):
            parts.append(part.text)
        elif isinstance(part, InputAudio | OutputAudio) and part.transcript:
            parts.append(part.transcript)
    return " ".join(part.strip() for part in parts if part.strip())


def read(items: Sequence[Item], spoken: str | None = None) -> Scene:
    """The scene that ``items`` make; ``spoken`` is the caller's last turn where the items do not have its
    words yet (a model that hears by itself)."""
    heard: list[str] = []
    outputs: list[str] = []
    rounds, image = 0, False
    for item in items:
        if isinstance(item, FunctionCallOutput):
            rounds += not outputs
            outputs.append(item.output)
            continue
        outputs = []
        if isinstance(item, Message) and item.role == "user":
            heard.append(text_of(item))
            image = any(isinstance(part, InputImage) for part in item.content)
            rounds = 0
    if spoken is not None:
        if heard and not heard[-1]:
            heard[-1] = spoken
        elif not heard or heard[-1] != spoken:
            heard.append(spoken)
        rounds, outputs = 0, []
    return Scene(heard=tuple(heard), image=image, outputs=tuple(outputs), rounds=rounds)


def turn_of(script: Script, heard: Sequence[str]) -> Turn | None:
    """The turn that answers the last of ``heard``, or None where the script has none (left).

    A turn with ``when`` answers what it matches. The others are taken in order, one a message; words that
    a turn ``hears`` find that turn even when messages before them were typed, deleted or left out.
    """
    found: Turn | None = None
    position = 0
    for words in heard:
        found = None
        if not words:
            continue  # nothing was understood: the script does not move
        found = next((turn for turn in script.turn if turn.matches(words)), None)
        if found is not None:
            continue
        index = _ordered(script.turn, words, position)
        if index is not None:
            found = script.turn[index]
            position = max(position, index + 1)
    return found


def _ordered(turns: Sequence[Turn], words: str, position: int) -> int | None:
    hearing = [index for index, turn in enumerate(turns) if turn.when is None and turn.hears == words]
    ahead = [index for index in hearing if index >= position]
    if ahead or hearing:
        return (ahead or hearing)[0]
    for index in range(position, len(turns)):
        if turns[index].when is None and turns[index].hears != "":
            return index
    return None


def step_of(turn: Turn, scene: Scene) -> Step | None:
    """The answer ``turn`` gives now; None: its answers to tool outputs are used up."""
    if not scene.outputs:
        return turn
    steps = turn.steps_after
    return steps[scene.rounds - 1] if scene.rounds <= len(steps) else None


def spoken_turn(script: Script, number: int) -> Turn | None:
    """The ``number``-th (from 0) turn that is meant to be spoken."""
    spoken = [turn for turn in script.turn if turn.hears is not None]
    return spoken[number] if number < len(spoken) else None
