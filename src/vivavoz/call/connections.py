"""Who is connected to a call, what each of them may do, and who is shown what."""

from __future__ import annotations

from typing import Protocol

from vivavoz.call.inbox import Inbox, Message, Sound
from vivavoz.call.incoming import refusal
from vivavoz.call.loudspeaker import Loudspeaker
from vivavoz.call.observers import Observers
from vivavoz.call.privacy import Privacy
from vivavoz.call.rights import EVERYTHING, Rights, RoleRights
from vivavoz.call.tap import Tap
from vivavoz.media.ports import Played
from vivavoz.session import effects
from vivavoz.session.inputs import Attached, PlaybackEnded, PlaybackStarted, Received
from vivavoz.session.translation.inputs import AnyInput, Asked
from vivavoz.transports.port import ObserverTransport, Transport
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.extensions import Observing
from vivavoz.wire.server_events import OutputAudioDelta
from vivavoz.wire.translation import SPOKEN_TAG, AnyServerEvent, TranslatedAudioDelta

CLOSE_TRY_AGAIN = 1013


class Ears(Protocol):
    """What a connection tells its call."""

    @property
    def id(self) -> str: ...

    @property
    def inbox(self) -> Inbox: ...

    def tell(self, input: AnyInput) -> None: ...

    def detached(self, handle: Handle, reason: str) -> None: ...


class Handle:
    """One transport's handle on its call."""

    def __init__(self, call: Ears, transport: Transport, name: str, rights: Rights) -> None:
        self.transport = transport
        self.name = name
        self._rights = rights
        self._call = call
        self._gone = False

    @property
    def call_id(self) -> str:
        return self._call.id

    def ready(self) -> None:
        self._call.tell(Attached(sender=self.name, kind=self.transport.kind))

    def received(self, data: str | bytes) -> None:
        if not self._gone and not self._call.inbox.put(Message(self.name, data, self._rights)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too many events are waiting to be handled.")

    def refused(self, error: ProtocolError) -> None:
        if not self._gone and not self._call.inbox.put(refusal(error, self.name)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too many events are waiting to be handled.")

    def audio(self, pcm: bytes) -> None:
        if not self._gone and not self._call.inbox.put(Sound(pcm)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too much sound is waiting to be handled.")

    def playing(self, tag: str) -> None:
        self._call.tell(PlaybackStarted(item_id=tag))

    def played(self, played: Played) -> None:
        self._call.tell(PlaybackEnded(item_id=played.tag))

    def lost(self, reason: str) -> None:
        if not self._gone:
            self._gone = True
            self._call.detached(self, reason)


class Connections:
    """Of one call: its client's (``client``), which plays, and any number of observers'."""

    def __init__(
        self, observers: Observers, loudspeaker: Loudspeaker, rights: Rights, tap: Tap | None
    ) -> None:
        """``rights``: the client's. ``tap``: who listens in."""
        self.client: Handle | None = None
        self.count = 0
        """How many there ever were."""
        self._observers = observers
        self._loudspeaker = loudspeaker
        self._rights = rights
        self._tap = tap
        self._privacy = Privacy()
        self._handles: dict[str, Handle] = {}

    def handle(self, call: Ears, transport: Transport, wants: Observing | None = None) -> Handle:
        """One more connection's, which is not joined yet. ``wants``: what an observer asked for."""
        self.count += 1
        rights = self._rights
        if wants is not None:
            rights = RoleRights(wants.role, hides=wants.hides)
        elif transport.kind == "sideband":
            rights = EVERYTHING
        return Handle(call, transport, f"t{self.count}", rights)

    def join(self, handle: Handle) -> None:
        """The client's, or that of an observer that asks for nothing."""
        self._handles[handle.name] = handle
        if handle.transport.kind == "sideband":
            return
        self.client = handle
        self._observers.client_joined(handle.name, handle.transport)
        self._loudspeaker.join(handle.transport)
        if self._tap is not None:
            self._tap.attached(handle.transport)

    def join_observer(self, handle: Handle, transport: ObserverTransport, wants: Observing) -> None:
        self._handles[handle.name] = handle
        self._observers.joined(handle.name, transport, wants)

    def leave(self, handle: Handle, reason: str) -> None:
        """Idempotent."""
        self._handles.pop(handle.name, None)
        self._observers.left(handle.name, reason)

    def close(self, code: int, reason: str) -> None:
        """The call is over: ``reason`` is for the client."""
        self._observers.close(reason)
        for handle in list(self._handles.values()):
            handle.transport.close(code, reason if handle is self.client else "The call has ended.")
        self._handles.clear()
        self.client = None

    # ---------------------------------------------------------------------------- what comes

    def permitted(self, input: AnyInput, rights: Rights) -> AnyInput:
        """``input``, or that it is refused: to whom it comes from it is not allowed, or does not exist."""
        if isinstance(input, Received | Asked):
            try:
                rights.check(input.event)
                if self._is_client(input.sender):
                    self._privacy.check(input.event)
            except ProtocolError as error:
                event_id = input.event.event_id
                error.event_id = event_id if isinstance(event_id, str) else None
                return refusal(error, input.sender)
        return input

    # ---------------------------------------------------------------------------- what goes

    def send(self, effect: effects.Send) -> None:
        """To everyone, or to one transport: then observers see it too, unless it is an observer's own."""
        if effect.format is not None:
            self._send_sound(effect)
            return
        if self._tap is not None:
            self._tap.sent(effect.event, effect.to)
        observed = effect.to is None or self._is_client(effect.to)
        self._observers.sent(effect.event, observed)
        shown = self._privacy.shown(effect.event)
        for handle in list(self._handles.values()):
            addressed = effect.to is None or effect.to == handle.name
            if handle.transport.kind == "sideband":
                if addressed or observed:
                    handle.transport.send(effect.event)
            elif addressed and shown is not None:
                handle.transport.send(shown)

    def _send_sound(self, effect: effects.Send) -> None:
        """To the client. Where its playout is ours, what is heard is told by the loudspeaker."""
        plays = self.client is not None and self.client.transport.kind == "webrtc"
        if self._tap is not None and not plays:
            self._tap.sent(effect.event, effect.to)
        if self.client is not None:
            self.client.transport.send(effect.event, effect.format)
            if not plays:
                self._spoke(effect.event)

    def _spoke(self, event: AnyServerEvent) -> None:
        match event:
            case OutputAudioDelta():
                self._observers.spoke(event.item_id, event.delta)
            case TranslatedAudioDelta():
                self._observers.spoke(SPOKEN_TAG, event.delta)

    def _is_client(self, name: str | None) -> bool:
        return self.client is not None and self.client.name == name

    # ---------------------------------------------------------------------------- the client's playout

    def end_audio(self, item_id: str) -> None:
        if self.client is not None:
            self.client.transport.end_audio(item_id)

    def flush(self) -> list[Played]:
        return self.client.transport.flush() if self.client is not None else []

    def hold(self) -> None:
        if self.client is not None:
            self.client.transport.hold()

    def release(self) -> None:
        if self.client is not None:
            self.client.transport.release()

    @property
    def queued_ms(self) -> int:
        """Sound that the client has still to hear."""
        return self.client.transport.queued_ms if self.client is not None else 0
