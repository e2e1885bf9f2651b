from __future__ import annotations

from vivavoz.engines.embedded.voices import VOICES as ENGLISH_VOICES
from vivavoz.engines.multilingual.language import SPOKEN
from vivavoz.engines.multilingual.voices import SPEAKERS, VOICES, voice
from vivavoz.models import Catalogue


def test_every_voice_of_the_protocol_has_a_sound_of_its_own() -> None:
    hosted = {name: VOICES[name] for name in ENGLISH_VOICES}
    assert len({(v.register, v.pitch) for v in hosted.values()}) == len(hosted)
    assert all(0.9 <= v.pitch <= 1.1 for v in hosted.values())
    assert {v.register for v in hosted.values()} == {"woman", "man"}


def test_a_voice_is_a_woman_or_a_man_in_each_language() -> None:
    assert [voice("Marin").speaker(language) for language in SPOKEN] == ["pf_dora", "af_heart"]
    assert [voice("cedar").speaker(language) for language in SPOKEN] == ["pm_alex", "am_michael"]
    assert voice("pm_alex").speaker("pt") == "pm_alex"
    assert voice("nobody") == voice("alloy")


def test_every_speaker_is_a_file_of_the_model() -> None:
    files = {file.name for file in Catalogue.load().get("kokoro").files}
    assert {f"{name}.bin" for speakers in SPEAKERS.values() for name in speakers.values()} <= files
    assert set(SPEAKERS) == set(SPOKEN)
