"""What the scripted model answers: the script's words where it has some, else something sensible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from vivavoz.engines.ports import Counted, ReplyOptions
from vivavoz.engines.scripted.plot import Scene, step_of, text_of, turn_of
from vivavoz.engines.scripted.samples import sample
from vivavoz.engines.scripted.script import Call, Delays, Failure, Script, Stage, Step
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, InputAudio, Item, Message, OutputAudio

_COUNT = re.compile(r"\bcount (?:up )?to (\d{1,4})\b", re.IGNORECASE)
_LONGEST_COUNT = 1000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer decided on: what is said, what is called, and the script's wishes for how."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    step: Step = Step()
    delays: Delays = Delays()

    def failure(self, stage: Stage) -> Failure | None:
        return self.step.failure(stage)


def answer(script: Script, scene: Scene, options: ReplyOptions) -> Answer:
    turn = turn_of(script, scene.heard)
    step = None if turn is None else step_of(turn, scene)
    text, calls = _scripted(step, scene) if step is not None else _improvised(script, scene, options)
    if step is not None and step.says is None and not step.calls:
        text, calls = _improvised(script, scene, options)  # a turn that only times or breaks the answer
    forced = _forced(options)
    if forced is not None and not calls:
        text, calls = "", (forced,)
    if options.tool_choice == "none":
        calls = ()
    return Answer(
        text=text,
        calls=calls,
        step=step or Step(),
        delays=(step.delays if step is not None else Delays()).over(script.defaults.delays),
    )


def _fill(text: str, scene: Scene) -> str:
    return text.replace("{heard}", scene.last_heard).replace("{output}", " ".join(scene.outputs))


def _scripted(step: Step, scene: Scene) -> tuple[str, tuple[Call, ...]]:
    said = _fill(step.says or "", scene)
    return " ".join([said] * step.repeat) if said else "", tuple(step.calls)


def _improvised(script: Script, scene: Scene, options: ReplyOptions) -> tuple[str, tuple[Call, ...]]:
    words = script.defaults
    if scene.outputs:
        return _fill(words.after_output, scene), ()
    if not scene.heard:
        return words.greeting, ()
    heard = scene.last_heard
    if not heard:
        return words.says_to_image if scene.image else words.says_to_nothing, ()
    mentioned = next((tool for tool in options.tools if _mentions(heard, _name(tool))), None)
    if mentioned is not None and options.tool_choice != "none":
        return "", (_call(mentioned),)
    if count := _COUNT.search(heard):
        last = min(int(count[1]), _LONGEST_COUNT)
        return ", ".join(str(number) for number in range(1, last + 1)) + ".", ()
    return _fill(words.says, scene), ()


def _mentions(heard: str, name: str) -> bool:
    if not name:
        return False
    pattern = r"\b" + re.escape(name).replace("_", "[_ ]") + r"\b"
    return re.search(pattern, heard, re.IGNORECASE) is not None


def _forced(options: ReplyOptions) -> Call | None:
    """The call that ``tool_choice`` insists on: required, or one by name."""
    choice = options.tool_choice
    if isinstance(choice, dict):
        name = choice.get("name") or (choice.get("function") or {}).get("name")
        tool = next((tool for tool in options.tools if _name(tool) == name), None)
        return _call(tool) if tool is not None else None
    if choice == "required":
        return next((_call(tool) for tool in options.tools if _name(tool)), None)
    return None


def _name(tool: dict[str, Any]) -> str:
    name = tool.get("name")
    return name if isinstance(name, str) else ""


def _call(tool: dict[str, Any]) -> Call:
    arguments = sample(tool.get("parameters"))
    return Call(name=_name(tool), arguments=arguments if isinstance(arguments, dict) else {})


def words(text: str) -> list[str]:
    """The tokens of the scripted engines: words with the space before them. They join to ``text``."""
    return re.findall(r"\s*\S+\s*\Z|\s*\S+|\s+\Z", text)


def count(items: Sequence[Item], options: ReplyOptions, *, hears: bool = False) -> Counted:
    """Input tokens: words of the instructions, the tools and the conversation. A model that ``hears`` reads
    no words that were spoken."""
    tools = msgspec.json.encode(list(options.tools)).decode() if options.tools else ""
    before = len(options.instructions.split()) + len(tools.split())
    return Counted([_count(item, hears) for item in items], before)


def _count(item: Item, hears: bool) -> int:
    match item:
        case Message():
            spoken = any(isinstance(part, InputAudio | OutputAudio) for part in item.content)
            return 0 if hears and spoken else len(text_of(item).split())
        case FunctionCall():
            return len(item.name.split()) + len(item.arguments.split())
        case FunctionCallOutput():
            return len(item.output.split())
