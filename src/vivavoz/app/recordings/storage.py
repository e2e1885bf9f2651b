"""Where finished files are kept: a folder, or an object store behind the same methods. All of them block."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from vivavoz.app.recordings.disk import make_private


class Storage(Protocol):
    """Names are relative paths with ``/``. Every method raises OSError."""

    def put(self, name: str, source: Path) -> None:
        """Keep a copy of ``source``, or ``source`` itself; it is there wholly or not at all."""

    def open(self, name: str) -> BinaryIO:
        """For reading and seeking. FileNotFoundError: it is not there (any more)."""

    def delete(self, name: str) -> None:
        """What is gone already is fine."""


class Folder:
    """A local folder, which nobody else can read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, source: Path) -> None:
        target = self._root / name
        make_private(target.parent)
        try:
            os.replace(source, target)
        except OSError:
            # Another file system: a copy, complete before it has its name.
            new = target.with_name(target.name + ".new")
            with source.open("rb") as given, new.open("wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                shutil.copyfileobj(given, copy, 1024 * 1024)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(new, target)
        _sync_folder(target.parent)

    def open(self, name: str) -> BinaryIO:
        return (self._root / name).open("rb")

    def delete(self, name: str) -> None:
        path = self._root / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # the day's last


class ObjectStore:
    """What fsspec reaches by URL (``s3://``, ``abfs://``, ``memory://``). Credentials come from the
    environment, as each kind of store names them."""

    def __init__(self, url: str) -> None:
        """Raises ValueError, in words: a package is not installed, or the URL means nothing."""
        try:
            import fsspec  # type: ignore[import-untyped]
        except ModuleNotFoundError:
            raise ValueError("a URL in [app.recordings] folder needs pip install 'vivavoz[stores]'") from None
        try:
            fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            kind = url.partition(":")[0]
            raise ValueError(f"[app.recordings] folder: {kind}: cannot be used: {error}") from None
        self._fs: Any = fs
        self._root = str(root).rstrip("/")

    def put(self, name: str, source: Path) -> None:
        with _as_oserror():
            path = self._path(name)
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(source), path)

    def open(self, name: str) -> BinaryIO:
        with _as_oserror():
            return cast(BinaryIO, self._fs.open(self._path(name), "rb"))

    def delete(self, name: str) -> None:
        with _as_oserror(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def storage_at(folder: str | None, default: Path) -> Storage:
    """Raises ValueError, in words."""
    if folder is None:
        return Folder(default)
    return ObjectStore(folder) if "://" in folder else Folder(Path(folder).expanduser())


class _as_oserror(contextlib.AbstractContextManager[None]):
    """A store's own exceptions may quote requests, with signatures in them: their kind is enough."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, OSError):
            raise OSError(f"the store refused ({type(error).__name__})") from None


def _sync_folder(path: Path) -> None:
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)
