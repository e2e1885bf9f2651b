"""What a session that translates begins with."""

from __future__ import annotations

from vivavoz.engines.ports import Engines
from vivavoz.media import denoise
from vivavoz.session.translation.possible import check_options, default_language
from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.translation import TranslationOptions, TranslationPatch, effective_translation


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
