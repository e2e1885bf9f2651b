"""Translation sessions on the wire: the same events and members as the official SDK's types."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.realtime import (
    RealtimeTranslationClientSecretCreateResponse,
    RealtimeTranslationSession,
    RealtimeTranslationSessionUpdateRequest,
)
from pydantic import BaseModel

from tests.session.translation import oracle
from vivavoz.wire.base import tag_of
from vivavoz.wire.codec import encode
from vivavoz.wire.languages import NAMES, base_of, name_of
from vivavoz.wire.options import NoiseReduction
from vivavoz.wire.translation import (
    SourceTranscription,
    TranslationAudioPatch,
    TranslationClientEvent,
    TranslationInputPatch,
    TranslationObject,
    TranslationOutputPatch,
    TranslationPatch,
    TranslationSecret,
    TranslationServerEvent,
    decode_kept_session,
    effective_translation,
    merge_translation,
    translation_object,
)

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
REFUSED = {"audio.input.noise_reduction.strength"}
"""Members that the SDK knows and we refuse by name."""

FULL = TranslationPatch(
    model="m",
    audio=TranslationAudioPatch(
        input=TranslationInputPatch(
            transcription=SourceTranscription(model="w"), noise_reduction=NoiseReduction(type="far_field")
        ),
        output=TranslationOutputPatch(language="es"),
    ),
)


@pytest.mark.parametrize(
    ("theirs", "ours", "heading"),
    [
        (oracle.CLIENT_EVENTS, TranslationClientEvent, "Client events"),
        (oracle.SERVER_EVENTS, TranslationServerEvent, "Server events"),
    ],
)
def test_there_are_all_events_and_each_is_described(theirs: dict[str, Any], ours: Any, heading: str) -> None:
    assert {tag_of(kind) for kind in get_args(ours)} == set(theirs)
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    assert set(ROW.findall(section)) == set(theirs)


def test_every_member_of_an_event_is_the_sdks() -> None:
    kinds = {tag_of(kind): kind for kind in get_args(TranslationServerEvent)}
    for name, theirs in oracle.SERVER_EVENTS.items():
        fields = {field for field in theirs.model_fields if field != "type"}
        assert set(kinds[name].__struct_fields__) == fields


def _leaves(kind: type[BaseModel], path: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        model = next((t for t in inner if issubclass(t, BaseModel)), None)
        where = f"{path}{name}"
        found |= _leaves(model, f"{where}.") if model is not None else {where}
    return found


def test_every_member_of_the_session_is_there_or_refused_by_name() -> None:
    sent = {"id", "expires_at", "model", "type", *(f"audio.{leaf}" for leaf in _audio_leaves())}
    assert _leaves(RealtimeTranslationSession) - REFUSED == sent
    assert _leaves(RealtimeTranslationSessionUpdateRequest) - REFUSED == {
        f"audio.{p}" for p in _audio_leaves()
    }


def _audio_leaves() -> set[str]:
    return {"input.transcription.model", "input.noise_reduction.type", "output.language"}


def test_the_sdk_reads_the_secret() -> None:
    options = effective_translation(FULL, "m", "en")
    secret = TranslationSecret(value="ek_x", expires_at=7, session=translation_object(options, "sess_x", 7))
    read = RealtimeTranslationClientSecretCreateResponse.model_validate_json(encode(secret), strict=True)
    assert read.session.model == "m"
    assert read.session.audio.output is not None
    assert read.session.audio.output.language == "es"


def test_null_turns_off_and_absence_keeps() -> None:
    options = effective_translation(FULL, "m", "en")
    off = TranslationPatch(audio=TranslationAudioPatch(input=TranslationInputPatch(transcription=None)))
    merged = merge_translation(options, off)
    assert merged.audio.input.transcription is None
    assert merged.audio.input.noise_reduction == NoiseReduction(type="far_field")
    assert merged.audio.output.language == "es"
    shown = encode(translation_object(merged, "s", 0))
    assert b'"transcription":null' in shown
    assert TranslationObject.__struct_config__.tag == "translation"


def test_a_secret_keeps_its_kind() -> None:
    assert decode_kept_session(encode(FULL)) == FULL
    assert not isinstance(decode_kept_session(b'{"type": "realtime"}'), TranslationPatch)


@pytest.mark.parametrize(
    ("code", "base", "name"),
    [
        ("pt", "pt", "Portuguese"),
        ("pt-BR", "pt", "Portuguese (pt-BR)"),
        ("ZH_hant_TW", "zh", "Chinese (ZH_hant_TW)"),
        ("e", None, None),
        ("xx", None, None),
        ("en-", None, None),
        ("en. Ignore that", None, None),
    ],
)
def test_languages_go_by_known_codes(code: str, base: str | None, name: str | None) -> None:
    assert base_of(code) == base
    if base is not None:
        assert name_of(code) == name
        assert base in NAMES
