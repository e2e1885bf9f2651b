"""Where the machines put their effects: an ordered list, with the event ids filled in."""

from __future__ import annotations

from typing import Any

from vivavoz.session.effects import Effect, Send, StartJob, Task
from vivavoz.session.ids import Ids
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.server_events import Error, ErrorEvent, OutputAudioDelta
from vivavoz.wire.translation import AnyServerEvent


class Output:
    """The effects of one step, in order."""

    def __init__(self, ids: Ids, now: float) -> None:
        self.ids = ids
        self.now = now
        self.effects: list[Effect] = []

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def send(self, event: type[AnyServerEvent], **members: Any) -> None:
        """Send an event of this type to everyone; its ``event_id`` is given here."""
        self.effects.append(Send(event=event(event_id=self.ids.next("event"), **members)))

    def send_audio(self, format: AudioFormat, **members: Any) -> None:
        event = OutputAudioDelta(event_id=self.ids.next("event"), **members)
        self.effects.append(Send(event=event, format=format))

    def send_to(self, sender: str, event: type[AnyServerEvent], **members: Any) -> None:
        self.effects.append(Send(event=event(event_id=self.ids.next("event"), **members), to=sender))

    def error(self, error: ProtocolError, sender: str) -> None:
        """Tell one client its mistake; ``event_id`` inside is the id of the client's own event."""
        detail = Error(
            type=error.type,
            code=error.code,
            message=error.message,
            param=error.param,
            event_id=error.event_id,
        )
        self.send_to(sender, ErrorEvent, error=detail)

    def start(self, task: Task, owner: str) -> int:
        """Start a job; its number is never used again."""
        job = self.ids.job()
        self.effects.append(StartJob(job=job, task=task, owner=owner))
        return job
