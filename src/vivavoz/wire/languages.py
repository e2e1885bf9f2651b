"""Languages by code (ISO 639-1, with BCP 47 subtags) and by the name that a model knows them by."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "af": "Afrikaans", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian",
    "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian",
    "kk": "Kazakh", "kn": "Kannada", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay", "mt": "Maltese",
    "nb": "Norwegian", "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek",
    "vi": "Vietnamese", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip

_CODE = re.compile(r"(?P<base>[A-Za-z]{2,3})(?P<subtags>(?:[-_][A-Za-z0-9]{2,8}){0,3})")


def base_of(code: str) -> str | None:
    """``pt`` of ``pt``, ``pt-BR`` and ``PT_br``; None where ``code`` is no language that has a name here."""
    found = _CODE.fullmatch(code)
    base = found["base"].lower() if found else ""
    return base if base in NAMES else None


def name_of(code: str) -> str:
    """``Portuguese``; with subtags, which models understand, ``Portuguese (pt-BR)``. ``code``: known."""
    found = _CODE.fullmatch(code)
    assert found is not None, "a known code"
    name = NAMES[found["base"].lower()]
    return f"{name} ({code})" if found["subtags"] else name
