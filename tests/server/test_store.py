"""Where long session configurations wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vivavoz.config import ConfigError, Secrets
from vivavoz.server.sealing import sealing_secrets
from vivavoz.server.store import FileStore, MemoryStore, Store, StoreFull

NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def make(kind: str, path: Path, clock: Clock) -> Store:
    if kind == "memory":
        return MemoryStore(max_entries=3, max_bytes=100, clock=clock)
    return FileStore(path / "store", max_entries=3, max_bytes=100, clock=clock)


def key(number: int) -> str:
    return f"{number:032x}"


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_it_is_bounded_in_entries_and_makes_room_as_they_expire(kind: str, tmp_path: Path) -> None:
    clock = Clock()
    store = make(kind, tmp_path, clock)
    for number in range(3):
        await store.put(key(number), b"x", NOW + 10 + number)
    with pytest.raises(StoreFull):
        await store.put(key(9), b"x", NOW + 60)
    clock.now = NOW + 10
    await store.put(key(9), b"y", NOW + 60)
    assert await store.get(key(9), NOW + 60) == b"y"
    assert await store.get(key(0), NOW + 10) is None
    assert await store.get(key(2), NOW + 12) == b"x"


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_it_is_bounded_in_bytes(kind: str, tmp_path: Path) -> None:
    store = make(kind, tmp_path, Clock())
    await store.put(key(1), bytes(60), NOW + 10)
    with pytest.raises(StoreFull):
        await store.put(key(2), bytes(60), NOW + 10)


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_the_wrong_expiry_finds_nothing(kind: str, tmp_path: Path) -> None:
    store = make(kind, tmp_path, Clock())
    await store.put(key(1), b"x", NOW + 10)
    assert await store.get(key(1), NOW + 11) is None


async def test_expired_files_are_swept(tmp_path: Path) -> None:
    clock = Clock()
    store = FileStore(tmp_path, clock=clock)
    await store.put(key(1), b"x", NOW + 10)
    clock.now += 20
    await store.put(key(2), b"x", NOW + 60)
    assert os.listdir(tmp_path) == [f"{NOW + 60}-{key(2)}"]


async def test_a_key_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hex"):
        await FileStore(tmp_path).put("../../etc/passwd", b"x", NOW + 10**9)


def test_the_installation_secret_is_made_once_and_private(tmp_path: Path) -> None:
    first = sealing_secrets(Secrets(), tmp_path / "state")
    assert sealing_secrets(Secrets(), tmp_path / "state") == first
    (file,) = (tmp_path / "state").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(first[0]) == 64


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="the state directory"):
        sealing_secrets(Secrets(), tmp_path / "file/state")


def test_a_configured_secret_or_key_comes_before_it(tmp_path: Path) -> None:
    assert sealing_secrets(Secrets(("k1", "k2")), tmp_path) == ("k1", "k2")
    assert sealing_secrets(Secrets(("k1",), "s"), tmp_path) == ("s",)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_of_many_who_claim_each_gets_another(kind: str, tmp_path: Path) -> None:
    clock = Clock()
    store = make(kind, tmp_path, clock)
    keys = [key(1), key(2)]
    assert [await store.claim(keys, NOW + 10) for _ in range(2)] == keys
    assert await store.claim(keys, NOW + 10) is None
    await store.release(key(1), NOW + 10)
    await store.release(key(1), NOW + 10)
    assert await store.claim(keys, NOW + 10) == key(1)
    clock.now = NOW + 10
    assert await store.claim([key(3)], NOW + 20) == key(3)


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_claims_are_bounded_too(kind: str, tmp_path: Path) -> None:
    store = make(kind, tmp_path, Clock())
    for number in range(3):
        assert await store.claim([key(number)], NOW + 10) is not None
    with pytest.raises(StoreFull):
        await store.claim([key(9)], NOW + 10)
