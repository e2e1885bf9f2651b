"""The engine work under way. A job's number is never used twice, and what a forgotten job still says is
dropped: so there are no generation counters, and a cancelled job needs no tombstone."""

from __future__ import annotations

from enum import Enum

from vivavoz.session.effects import CancelJob, Task
from vivavoz.session.output import Output
from vivavoz.wire.base import Data


class Kind(Enum):
    TRANSCRIBE = "transcribe"
    COUNT = "count"
    REPLY = "reply"
    SPEECH = "speech"
    JUDGE = "judge"
    LIST_TOOLS = "list_tools"
    CALL_TOOL = "call_tool"


class Job(Data):
    """``owner``: the item's or the response's id that the work is for."""

    kind: Kind
    owner: str


class Jobs(Data):
    live: dict[int, Job] = {}

    def start(self, out: Output, kind: Kind, owner: str, task: Task) -> int:
        # What names an MCP server holds its credential: not to be passed around.
        job = out.start(task, "" if kind is Kind.LIST_TOOLS else owner)
        self.live[job] = Job(kind=kind, owner=owner)
        return job

    def get(self, job: int) -> Job | None:
        return self.live.get(job)

    def end(self, job: int) -> Job | None:
        return self.live.pop(job, None)

    def cancel(self, out: Output, job: int | None) -> None:
        if job is not None and self.live.pop(job, None) is not None:
            out.do(CancelJob(job=job))
