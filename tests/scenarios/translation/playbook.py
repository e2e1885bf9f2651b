"""Golden translation sessions, written as :mod:`tests.scenarios.playbook` has it.

``given`` sets members of TranslationSettings, ``options`` is a patch as a client secret brings it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.scenarios.playbook import Player, Shown, members_of, with_members
from vivavoz.session import inputs
from vivavoz.session.ids import Ids
from vivavoz.session.translation.inputs import Asked
from vivavoz.session.translation.session import TranslationSession
from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.codec import decode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import TranslationPatch, decode_translation_event, effective_translation


class TranslationPlayer(Player):
    appends = "session.input_audio_buffer.append"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.wished = TranslationSettings()
        self.wishes = TranslationPatch()

    def fresh(self) -> Any:
        options = effective_translation(self.wishes, "gpt-realtime-translate", "en")
        return TranslationSession(options, Ids(seed=b""), self.wished)

    def _do(self, text: str) -> list[Shown]:
        word, _, rest = text.partition(" ")
        if word == "given":
            self.wished = with_members(self.wished, members_of(rest))
            return []
        if word == "options":
            self.wishes = decode(json.dumps(members_of(rest)), TranslationPatch)
            return []
        return super()._do(text)

    def _received(self, message: str, sender: str) -> Any:
        try:
            return Asked(event=decode_translation_event(message), sender=sender)
        except ProtocolError as error:
            return inputs.Refused(
                sender=sender,
                type=error.type,
                code=error.code,
                message=error.message,
                param=error.param,
                event_id=error.event_id,
            )


def scenarios() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.txt"))
