"""What can happen to a translation session, beside what can happen to any."""

from __future__ import annotations

from vivavoz.session.inputs import Input, Sender
from vivavoz.wire.base import Fixed
from vivavoz.wire.translation import TranslationClientEvent


class Asked(Fixed, frozen=True, tag_field="what", tag=True):
    """A client event. Sound inside it is mono s16le at 24 kHz."""

    event: TranslationClientEvent
    sender: Sender


AnyInput = Input | Asked
