"""What a session asks of an engine, in the words of the engines' ports."""

from __future__ import annotations

from vivavoz.engines.ports import ReplyOptions, SpeechOptions
from vivavoz.session.effects import Reply, Synthesize
from vivavoz.wire.codec import plain
from vivavoz.wire.tools import NamedFunction


def reply_options(task: Reply) -> ReplyOptions:
    choice = task.tool_choice
    return ReplyOptions(
        model=task.model,
        instructions=task.instructions,
        tools=[plain(tool) for tool in task.tools],
        tool_choice=plain(choice) if isinstance(choice, NamedFunction) else choice,
        max_output_tokens=task.max_output_tokens,
        parallel_tool_calls=task.parallel_tool_calls,
        effort=task.effort,
    )


def speech_options(task: Synthesize) -> SpeechOptions:
    return SpeechOptions(voice=task.voice, speed=task.speed)
