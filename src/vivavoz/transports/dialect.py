"""Which protocol a connection speaks. The call behind it speaks GA, whatever its connections speak.

A dialect turns a client's message into a GA message before the call sees it, and a server event into the
messages that this client knows. Connections of one call may differ in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from vivavoz.transports.port import Attachment
from vivavoz.wire.beta.incoming import to_ga
from vivavoz.wire.beta.outgoing import to_beta
from vivavoz.wire.codec import encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import AnyServerEvent


class Dialect(Protocol):
    def incoming(self, data: str | bytes) -> str | bytes:
        """A client's message as a GA message. Anything may be in it.

        Raises :class:`ProtocolError`, in this dialect's terms, for what cannot be said in GA.
        """
        ...

    def outgoing(self, event: AnyServerEvent) -> Sequence[bytes]:
        """The messages (JSON) that tell this client of ``event``: one, none or several."""
        ...


class Ga:
    """The protocol as it is: nothing to translate."""

    def incoming(self, data: str | bytes) -> str | bytes:
        return data

    def outgoing(self, event: AnyServerEvent) -> Sequence[bytes]:
        return (encode(event),)


class Beta:
    """The beta (``OpenAI-Beta: realtime=v1``): flat sessions and older event names."""

    def __init__(self, conversation_id: str) -> None:
        """``conversation_id``: what ``conversation.created`` says, and the call's responses."""
        self._conversation_id = conversation_id
        self._encode = msgspec.json.Encoder().encode

    def incoming(self, data: str | bytes) -> str | bytes:
        return to_ga(data)

    def outgoing(self, event: AnyServerEvent) -> Sequence[bytes]:
        return [self._encode(message) for message in to_beta(event, self._conversation_id)]


GA: Final[Dialect] = Ga()


def deliver(dialect: Dialect, data: str | bytes, attachment: Attachment) -> None:
    """Hand one message of a client's to the call, or the reason why it is none."""
    try:
        message = dialect.incoming(data)
    except ProtocolError as error:
        attachment.refused(error)
    else:
        attachment.received(message)
