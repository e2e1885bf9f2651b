"""A call whose session translates: its own client events, and nothing else that differs."""

from __future__ import annotations

from vivavoz.call.call import Call, refusal
from vivavoz.call.inbox import Message
from vivavoz.engines.ports import Engines
from vivavoz.media import denoise
from vivavoz.session.translation.inputs import AnyInput, Asked
from vivavoz.session.translation.session import check_options, default_language
from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.translation import (
    TranslationOptions,
    TranslationPatch,
    decode_translation_event,
    effective_translation,
)


class TranslationCall(Call):
    """Made with a :class:`~vivavoz.session.translation.session.TranslationSession`."""

    def _decode(self, message: Message) -> AnyInput:
        try:
            return Asked(event=decode_translation_event(message.data), sender=message.sender)
        except ProtocolError as error:
            return refusal(error, message.sender)


def translation_of(
    patch: TranslationPatch | None, model: str, engines: Engines
) -> tuple[TranslationOptions, TranslationSettings]:
    """What a session begins with that ``engines`` translate. Raises
    :class:`~vivavoz.wire.errors.ProtocolError`, seen from the session, for what they cannot do."""
    translator = engines.translator
    if translator is None:
        raise invalid_value(
            f"The model '{model[:120]}' does not translate: that takes a recogniser, a language model and a "
            "voice.",
            "model",
        )
    languages = tuple(translator.languages) if translator.languages is not None else None
    settings = TranslationSettings(
        languages=languages, continuous=translator.continuous, reduces_noise=denoise.available()
    )
    options = effective_translation(patch, model, default_language(languages))
    check_options(settings, options)
    return options, settings
