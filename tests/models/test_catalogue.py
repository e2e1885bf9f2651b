from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from vivavoz.models import Catalogue, UnknownModel
from vivavoz.models.catalogue import Wheel


def test_the_catalogue_that_we_ship_is_sound() -> None:
    catalogue = Catalogue.load()
    for model in catalogue:
        assert model.files, model.name
        assert model.task in ("vad", "turn", "stt", "llm", "tts")
        for file in model.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), (model.name, file.name)
            assert file.size > 0
            assert file.sources
            assert Path(file.name).name == file.name, "a file's name is no path"
            for source in file.sources:
                if isinstance(source, Wheel):
                    assert all("==" in requirement for requirement, _ in source.pieces())
    assert {catalogue.get(name).task for name in catalogue.sets["english"]} == {
        "vad",
        "turn",
        "stt",
        "llm",
        "tts",
    }


def test_parts_are_counted_and_padded() -> None:
    wheel = Wheel(package="w{n}==1", member="w{n}/part{n:02}.bin", parts=2)
    assert wheel.pieces() == [("w1==1", "w1/part01.bin"), ("w2==1", "w2/part02.bin")]


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'gpt'.*silero-vad"):
        Catalogue.load().get("gpt")


def test_a_misspelt_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[[model]]\nname = "a"\nlicense = "MIT"\n')
    with pytest.raises(msgspec.ValidationError):
        Catalogue.load(path)
