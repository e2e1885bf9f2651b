from __future__ import annotations

import os
from pathlib import Path

import pytest

from vivavoz.models import ModelCorrupt, ModelMissing
from vivavoz.models import store as store_module
from vivavoz.models.catalogue import Hub, Installed

from .conftest import MakeStore


def test_a_missing_model_says_how_to_get_it(make_store: MakeStore) -> None:
    with pytest.raises(ModelMissing, match="`vivavoz models fetch toy`"):
        make_store(b"weights").locate("toy")


@pytest.mark.parametrize("where", ["local/toy.bin", "local/toy/toy.bin", "cache/toy/toy.bin"])
def test_places(make_store: MakeStore, tmp_path: Path, where: str) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert make_store(b"weights").locate("toy").path() == path


def test_the_users_hub_cache_is_used(make_store: MakeStore, tmp_path: Path) -> None:
    path = tmp_path / "hf/hub/models--who--what/snapshots/abc/deep/w.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    store = make_store(b"weights", Hub(repo="who/what", path="deep/w.bin"))
    assert store.locate("toy").path("toy.bin") == path


def test_an_installed_package_is_used_and_not_imported(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "toy_carrier"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    store = make_store(b"weights", Installed(package="toy_carrier", path="w.bin"))
    assert store.locate("toy").path() == package / "w.bin"


@pytest.mark.parametrize(
    ("content", "problem"), [(b"weight", "6 bytes instead of 7"), (b"WEIGHTS", "wrong sha256")]
)
def test_a_wrong_file_is_named_with_the_command_that_mends_it(
    make_store: MakeStore, tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local/toy.bin").write_bytes(content)
    with pytest.raises(ModelCorrupt, match=rf"{problem}.*`vivavoz models fetch toy`"):
        make_store(b"weights").locate("toy")


def test_a_file_is_hashed_once_and_again_when_it_changed(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    real = store_module.sha256
    monkeypatch.setattr(store_module, "sha256", lambda path: hashed.append(path) or real(path))
    path = tmp_path / "local/toy.bin"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    store = make_store(b"weights")
    store.locate("toy")
    store.locate("toy")
    assert len(hashed) == 1
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelCorrupt):
        store.locate("toy")
