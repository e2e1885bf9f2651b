"""Where model files lie on this machine, and whether they are what the catalogue says.

Places, in order: the directories in ``VIVAVOZ_MODELS`` (and the configuration), our cache, then each file's
own sources that need no network (an installed package, the user's Hugging Face cache). A file is hashed the
first time it is used from a place and again when its size or time changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from vivavoz.models.catalogue import Catalogue, Hub, Installed, Model, ModelFile
from vivavoz.models.errors import ModelCorrupt, ModelMissing

_CHUNK = 1 << 20


class Located(msgspec.Struct, frozen=True):
    """A model whose files are all here and verified."""

    model: Model
    files: Mapping[str, Path]
    """By the file's name in the catalogue."""

    def path(self, name: str | None = None) -> Path:
        """One file's path; without a name, the first file's."""
        return self.files[name or self.model.files[0].name]


class Store:
    """The places of one user. ``cache`` and ``local`` default to the environment's."""

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        *,
        cache: Path | None = None,
        local: Sequence[Path] | None = None,
    ) -> None:
        self.catalogue = catalogue or Catalogue.load()
        self.cache = cache or default_cache()
        self.local = list(local) if local is not None else local_directories()

    def locate(self, name: str) -> Located:
        """The verified files of a model.

        Raises :class:`UnknownModel`, :class:`ModelMissing` (nowhere found) or :class:`ModelCorrupt` (found,
        but wrong); both messages name the command that mends it.
        """
        model = self.catalogue.get(name)
        files: dict[str, Path] = {}
        wrong: list[str] = []
        for file in model.files:
            for path in self._candidates(model, file):
                if not path.is_file():
                    continue
                problem = self.check(path, file)
                if problem is None:
                    files[file.name] = path
                    break
                wrong.append(f"{path} {problem}")
        if len(files) == len(model.files):
            return Located(model, files)
        mend = f"`vivavoz models fetch {name}`"
        if wrong:
            raise ModelCorrupt(f"{name}: {'; '.join(wrong)}. Mend it with {mend}.")
        missing = ", ".join(file.name for file in model.files if file.name not in files)
        raise ModelMissing(f"{name} is not on this machine ({missing} missing). Get it with {mend}.")

    def home(self, model: Model) -> Path:
        """The folder of our cache that holds the model."""
        return self.cache / model.name

    def check(self, path: Path, file: ModelFile, *, again: bool = False) -> str | None:
        """What is wrong with ``path`` as ``file``, or None. ``again``: hash even what was hashed before."""
        try:
            stat = path.stat()
            if stat.st_size != file.size:
                return f"has {stat.st_size} bytes instead of {file.size}"
            key = str(path.resolve())
            seen: list[int | str] = [stat.st_size, stat.st_mtime_ns, file.sha256]
            if not again and self._memo().get(key) == seen:
                return None
            if sha256(path) != file.sha256:
                return "has a wrong sha256"
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        self._remember(key, seen)
        return None

    def _candidates(self, model: Model, file: ModelFile) -> Iterator[Path]:
        for directory in self.local:
            yield directory / file.name
            yield directory / model.name / file.name
        yield self.home(model) / file.name
        for source in file.sources:
            match source:
                case Installed():
                    if (root := package_directory(source.package)) is not None:
                        yield root / source.path
                case Hub():
                    yield from hub_cached(source)
                case _:
                    pass

    @property
    def _memo_path(self) -> Path:
        return self.cache / "verified.json"

    def _memo(self) -> dict[str, list[int | str]]:
        with contextlib.suppress(OSError, ValueError):
            memo = json.loads(self._memo_path.read_text("utf-8"))
            if isinstance(memo, dict):
                return memo
        return {}

    def _remember(self, key: str, seen: list[int | str]) -> None:
        """Best effort: without it the next start hashes again."""
        with contextlib.suppress(OSError):
            self.cache.mkdir(parents=True, exist_ok=True)
            scratch = self._memo_path.with_suffix(f".{os.getpid()}.tmp")
            scratch.write_text(json.dumps({**self._memo(), key: seen}), "utf-8")
            scratch.replace(self._memo_path)


def default_cache() -> Path:
    """``$VIVAVOZ_CACHE/models``, else ``$XDG_CACHE_HOME/vivavoz/models``, else under ``~/.cache``."""
    if own := os.environ.get("VIVAVOZ_CACHE"):
        return Path(own).expanduser() / "models"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "vivavoz" / "models"


def local_directories() -> list[Path]:
    """The directories named by ``VIVAVOZ_MODELS`` (separated as in ``PATH``)."""
    named = os.environ.get("VIVAVOZ_MODELS", "")
    return [Path(part).expanduser() for part in named.split(os.pathsep) if part]


def package_directory(name: str) -> Path | None:
    """The folder of an installed top-level package, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def hub_cached(source: Hub) -> Iterator[Path]:
    """Where the Hugging Face client keeps the file, in any snapshot the user has."""
    environ = os.environ
    if explicit := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        hub = Path(explicit)
    elif home := environ.get("HF_HOME"):
        hub = Path(home) / "hub"
    else:
        hub = Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"
    snapshots = hub.expanduser() / f"models--{source.repo.replace('/', '--')}" / "snapshots"
    with contextlib.suppress(OSError):
        yield from (snapshot / source.path for snapshot in sorted(snapshots.iterdir()))


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
