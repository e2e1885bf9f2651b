"""What must hold of every session whatever happens to it, checked step by step from outside."""

from __future__ import annotations

from typing import Any

from vivavoz.session import effects, inputs
from vivavoz.wire import server_events as ev
from vivavoz.wire.items import AnyItem
from vivavoz.wire.mcp import McpApprovalRequest, McpCall
from vivavoz.wire.server_events import ServerEvent, event_type

_PART_STREAMS = {
    "response.output_text.delta": "response.output_text.done",
    "response.output_audio.delta": "response.output_audio.done",
    "response.output_audio_transcript.delta": "response.output_audio_transcript.done",
}
_STREAM_DONES = frozenset(_PART_STREAMS.values())
_ARGUMENTS_DELTA = "response.function_call_arguments.delta"
_ARGUMENTS_DONE = "response.function_call_arguments.done"
_SOUND = "response.output_audio.delta"

_ANSWERED: dict[type, type] = {
    inputs.ToolsListed: effects.ListTools,
    inputs.ToolReturned: effects.CallTool,
    inputs.Counted: effects.Count,
}
"""What ends the job of its kind, and no other."""

Where = tuple[str, int, int]


class Watch:
    """Sees every input with its effects; raises AssertionError where a promise is broken.

    Promises: event ids are unique; at most one response of the conversation lives; every ``added`` gets
    exactly one ``done`` and a live response's brackets are closed by its ``response.done``; deltas come
    inside their brackets, and a stream's ``done`` says what its deltas said; the three places where an item
    is shown finished agree; sound that was flushed is not reported as playing; jobs are fed, finished and
    cancelled only while they live, and their numbers are never used twice; nothing follows a hang-up.
    """

    def __init__(self) -> None:
        self.event_ids: set[str] = set()
        self.responses: dict[str, str | None] = {}
        self.items: set[str] = set()
        self.outputs: dict[tuple[str, int], AnyItem] = {}
        self.parts: set[Where] = set()
        self.streams: dict[tuple[Where, str], str] = {}
        self.closed: set[tuple[Where, str]] = set()
        self.arguments: dict[tuple[str, int], str] = {}
        self.finished_items: dict[str, list[AnyItem]] = {}
        self.finished_outputs: dict[str, dict[int, AnyItem]] = {}
        self.calling: set[str] = set()
        self.listing: set[str] = set()
        self.sound: set[str] = set()
        self.playing: set[str] = set()
        self.jobs: set[int] = set()
        self.answered_jobs: dict[int, type] = {}
        self.fed_up: set[int] = set()
        self.last_job = 0
        self.ended = False

    def saw(self, happened: inputs.Input, done: list[effects.Effect]) -> None:
        assert not (self.ended and done), f"after the hang-up: {done}"
        self.jobs.discard(self._ended(happened))
        for effect in done:
            self._effect(effect)
        if isinstance(happened, inputs.Flushed):
            assert not self.playing, f"still said to be playing after a flush: {self.playing}"
            self.sound.clear()
        if self.ended:
            assert not self.jobs, f"jobs {self.jobs} outlive the session"

    def _ended(self, happened: Any) -> int:
        """The job that this is the end of; 0: of none."""
        if isinstance(happened, inputs.JobEnded | inputs.JobFailed):
            return happened.job
        answered = _ANSWERED.get(type(happened))
        return happened.job if answered and self.answered_jobs.get(happened.job) is answered else 0

    @property
    def open(self) -> dict[str, Any]:
        """What still waits for its end."""
        return {
            "items": self.items,
            "outputs": set(self.outputs),
            "parts": self.parts,
            "streams": set(self.streams),
            "arguments": set(self.arguments),
            "MCP calls": self.calling,
            "MCP lists": self.listing,
        }

    # ---------------------------------------------------------------------------- effects

    def _effect(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(event=event):
                assert event.event_id not in self.event_ids, f"event id used twice: {event}"
                self.event_ids.add(event.event_id)
                assert (effect.format is not None) == (event_type(event) == _SOUND)
                self._event(event)
            case effects.StartJob(job=job, task=task):
                assert job > self.last_job, f"job {job} used twice"
                if type(task) in _ANSWERED.values():
                    self.answered_jobs[job] = type(task)
                self.last_job = job
                self.jobs.add(job)
            case effects.FeedAudio(job=job) | effects.FeedText(job=job):
                assert job in self.jobs - self.fed_up, f"job {job} is fed but cannot be"
            case effects.FinishJob(job=job):
                assert job in self.jobs - self.fed_up, f"job {job} is finished but cannot be"
                self.fed_up.add(job)
            case effects.CancelJob(job=job):
                assert job in self.jobs, f"job {job} is cancelled but does not live"
                self.jobs.remove(job)
            case effects.HangUp():
                self.ended = True

    # ---------------------------------------------------------------------------- events

    def _event(self, event: ServerEvent) -> None:
        name = event_type(event)
        match event:
            case ev.ResponseCreated(response=response):
                assert response.id not in self.responses
                if response.conversation_id is not None:
                    others = [id_ for id_, conversation in self.responses.items() if conversation]
                    assert not others, f"{response.id} begins beside {others}"
                self.responses[response.id] = response.conversation_id
            case ev.ResponseDone(response=response):
                self._response_done(response)
            case ev.ConversationItemAdded(item=item):
                assert item.id not in self.items, f"added twice: {item.id}"
                self.items.add(str(item.id))
            case ev.ConversationItemDone(item=item):
                assert item.id in self.items, f"done but not open: {item.id}"
                self.items.remove(str(item.id))
                self.finished_items.setdefault(str(item.id), []).append(item)
            case ev.OutputItemAdded():
                self._opened(event.response_id)
                key = (event.response_id, event.output_index)
                assert key not in self.outputs
                self.outputs[key] = event.item
            case ev.OutputItemDone(item=item):
                opened = self.outputs.pop((event.response_id, event.output_index))
                assert opened.id == item.id
                assert item.id not in self.calling, f"done but still called: {item.id}"
                if isinstance(item, McpCall):
                    assert (item.output is None) != (item.error is None)
                assert not isinstance(item, McpApprovalRequest) or item == opened
                if self.responses[event.response_id] is not None:
                    assert self.finished_items[str(item.id)][-1] == item
                self.finished_outputs.setdefault(event.response_id, {})[event.output_index] = item
            case ev.ContentPartAdded():
                assert self.outputs[event.response_id, event.output_index].id == event.item_id
                assert self._where(event) not in self.parts
                self.parts.add(self._where(event))
            case ev.ContentPartDone():
                self._part_done(event)
            case ev.OutputTextDelta() | ev.OutputAudioDelta() | ev.OutputAudioTranscriptDelta():
                self._delta(name, event)
            case ev.OutputTextDone() | ev.OutputAudioDone() | ev.OutputAudioTranscriptDone():
                self._stream_done(name, event)
            case ev.FunctionCallArgumentsDelta() | ev.McpCallArgumentsDelta():
                key = (event.response_id, event.output_index)
                assert self.outputs[key].id == event.item_id
                self.arguments[key] = self.arguments.get(key, "") + event.delta
            case ev.FunctionCallArgumentsDone() | ev.McpCallArgumentsDone():
                key = (event.response_id, event.output_index)
                assert self.outputs[key].id == event.item_id
                assert self.arguments.pop(key, "") == event.arguments
            case ev.McpCallInProgress(item_id=item_id):
                assert item_id in {output.id for output in self.outputs.values()}
                self.calling.add(item_id)
            case ev.McpCallCompleted(item_id=item_id) | ev.McpCallFailed(item_id=item_id):
                self.calling.remove(item_id)
            case ev.McpListToolsInProgress(item_id=item_id):
                assert item_id in self.items
                self.listing.add(item_id)
            case ev.McpListToolsCompleted(item_id=item_id) | ev.McpListToolsFailed(item_id=item_id):
                assert item_id in self.items
                self.listing.remove(item_id)
            case ev.OutputAudioBufferStarted(response_id=response_id):
                assert response_id in self.sound, f"{response_id} plays what was never given or was flushed"
                assert response_id not in self.playing
                self.playing.add(response_id)
            case ev.OutputAudioBufferStopped(response_id=response_id):
                assert response_id in self.playing
                self.playing.remove(response_id)
            case ev.OutputAudioBufferCleared(response_id=response_id):
                assert response_id in self.playing
                self.playing.remove(response_id)

    def _response_done(self, response: Any) -> None:
        assert response.id in self.responses, f"done but not live: {response.id}"
        assert response.status != "in_progress"
        left = [key for key in [*self.outputs, *self.parts] if key[0] == response.id]
        assert not left, f"{response.id} ends with open brackets: {left}"
        # Not by the items' ids: a client may use one again that left the conversation or was never in it.
        finished = self.finished_outputs.pop(response.id, {})
        shown = [finished[index] for index in sorted(finished)]
        assert response.output == shown, "response.done shows other items"
        usage = response.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        del self.responses[response.id]

    def _opened(self, response_id: str) -> None:
        assert response_id in self.responses, f"{response_id} is not live"

    def _delta(self, name: str, event: Any) -> None:
        where = self._where(event)
        assert where in self.parts, f"delta outside its part: {event}"
        done = _PART_STREAMS[name]
        assert (where, done) not in self.closed, f"delta after its done: {event}"
        said = "" if name == _SOUND else event.delta
        self.streams[where, done] = self.streams.get((where, done), "") + said
        if name == _SOUND:
            assert len(event.delta) % 2 == 0
            assert event.delta
            self.sound.add(event.response_id)

    def _stream_done(self, name: str, event: Any) -> None:
        where = self._where(event)
        assert where in self.parts
        assert (where, name) not in self.closed, f"done twice: {event}"
        self.closed.add((where, name))
        said = self.streams.pop((where, name), "")
        if name != "response.output_audio.done":
            assert said == getattr(event, "text", None) or said == getattr(event, "transcript", None)

    def _part_done(self, event: ev.ContentPartDone) -> None:
        where = self._where(event)
        self.parts.remove(where)
        wanted = (
            {"response.output_text.done"}
            if event.part.type == "text"
            else {"response.output_audio.done", "response.output_audio_transcript.done"}
        )
        closed = {name for place, name in self.closed if place == where}
        assert closed == wanted, f"{event} after {closed}"

    def _where(self, event: Any) -> Where:
        return (event.response_id, event.output_index, event.content_index)
