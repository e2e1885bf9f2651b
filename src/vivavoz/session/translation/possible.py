"""What this server can do of what a session that translates may ask for."""

from __future__ import annotations

from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.languages import NAMES, base_of
from vivavoz.wire.translation import TranslationOptions


def default_language(languages: tuple[str, ...] | None) -> str:
    """What is spoken where the client names nothing."""
    return "en" if not languages or "en" in languages else languages[0]


def check_options(settings: TranslationSettings, options: TranslationOptions) -> None:
    """What this server can do of what may be asked. Raises :class:`ProtocolError`, seen from the session."""
    check_language(options.audio.output.language, settings.languages)
    if options.audio.input.noise_reduction is not None and not settings.reduces_noise:
        raise invalid_value(
            "This server cannot reduce noise: the package 'webrtc-noise-gain' is not installed. Supported "
            "value: null.",
            "audio.input.noise_reduction",
        )


def check_language(language: str, spoken: tuple[str, ...] | None) -> None:
    """``spoken`` None: every language that has a name. Raises :class:`ProtocolError`."""
    base = base_of(language)
    if base is not None and (spoken is None or base in spoken):
        return
    why = "No language has this code." if base is None else "No voice is configured that speaks it."
    *first, last = [f"'{code}'" for code in (NAMES if spoken is None else spoken)]
    known = f"{', '.join(first)}{' and ' if first else ''}{last}"
    raise invalid_value(
        f"Invalid value: '{language[:35]}'. {why} Supported values are: {known}.", "audio.output.language"
    )
