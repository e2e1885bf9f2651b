"""The model catalogue: which files a model is made of, their hashes, and where they may come from.

Data only, read from ``catalogue.toml``; see ``docs/engines.md`` for how to add a model.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from vivavoz.models.errors import UnknownModel

BUILT_IN = Path(__file__).with_name("catalogue.toml")


class Installed(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="installed"
):
    """A file inside an installed Python package (found on disk, the package is not imported)."""

    package: str
    """Import name."""
    path: str


class Hub(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="hub"):
    """A file of a Hugging Face repository: taken from the user's cache, downloaded only where allowed."""

    repo: str
    path: str
    revision: str = "main"


class Wheel(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="wheel"
):
    """A file inside a wheel on the configured package index, or split over several (``parts``).

    With ``parts`` = n, ``{n}`` in ``package`` and ``member`` counts 1..n (``{n:02}`` pads) and the members
    are joined in that order.
    """

    package: str
    """Requirement with an exact version, ``name==1.2.3``."""
    member: str
    parts: int = 1

    def pieces(self) -> list[tuple[str, str]]:
        """(requirement, member) of every part, in order."""
        numbers = range(1, self.parts + 1)
        return [(self.package.format(n=n), self.member.format(n=n)) for n in numbers]


class Npm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="npm"):
    """A file inside an npm package (``name@1.2.3``)."""

    package: str
    member: str


Source = Installed | Hub | Wheel | Npm


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: int
    """Bytes."""
    sha256: str
    sources: tuple[Source, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    task: str
    """``vad``, ``turn``, ``stt``, ``llm`` or ``tts``."""
    title: str
    languages: tuple[str, ...]
    """ISO 639-1 codes; ``*``: any."""
    licence: str
    files: tuple[ModelFile, ...]
    quality: str | None = None
    """Said of models that disappoint: ``demo``, ``basic``."""
    note: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: list[Model]
    sets: dict[str, list[str]] = {}


class Catalogue:
    """The models by name, in the order of the file, and named sets of them."""

    def __init__(self, models: list[Model], sets: Mapping[str, list[str]]) -> None:
        self._models = {model.name: model for model in models}
        self.sets = dict(sets)
        for names in self.sets.values():
            for name in names:
                self.get(name)

    @classmethod
    def load(cls, path: Path = BUILT_IN) -> Catalogue:
        """Read a catalogue file. Raises ``msgspec.ValidationError`` or ``tomllib.TOMLDecodeError``."""
        document = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Document)
        return cls(document.model, document.sets)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, name: str) -> Model:
        """Raises :class:`UnknownModel`."""
        try:
            return self._models[name]
        except KeyError:
            known = ", ".join(self._models)
            raise UnknownModel(f"no model '{name}' in the catalogue; there are: {known}") from None
