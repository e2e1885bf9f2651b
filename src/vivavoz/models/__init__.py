"""The model catalogue: models are data with a name, a hash and sources (``docs/engines.md``)."""

from vivavoz.models.catalogue import Catalogue, Model, ModelFile
from vivavoz.models.errors import FetchFailed, ModelCorrupt, ModelError, ModelMissing, UnknownModel
from vivavoz.models.fetch import Progress, fetch
from vivavoz.models.store import Located, Store

__all__ = [
    "Catalogue",
    "FetchFailed",
    "Located",
    "Model",
    "ModelCorrupt",
    "ModelError",
    "ModelFile",
    "ModelMissing",
    "Progress",
    "Store",
    "UnknownModel",
    "fetch",
]
