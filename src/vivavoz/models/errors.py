"""What can go wrong with model files. Every message is a sentence for people and says what mends it."""

from __future__ import annotations


class ModelError(Exception):
    """Base of this package's errors; ``message`` is safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnknownModel(ModelError):
    """No model of that name in the catalogue."""


class ModelMissing(ModelError):
    """The files of a model are nowhere on this machine."""


class ModelCorrupt(ModelError):
    """A file is there and is not what the catalogue says (size or sha256)."""


class FetchFailed(ModelError):
    """No source gave the file; nothing half written was left behind."""
