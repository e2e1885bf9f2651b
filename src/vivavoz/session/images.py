"""Pictures in a conversation: data URIs of the two formats that the reference names, for models that see."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error

from vivavoz.wire.base import UNSET, replace
from vivavoz.wire.errors import ProtocolError, invalid_value, missing
from vivavoz.wire.items import AnyItem, InputImage, Message

MAX_CONVERSATION = 32 * 2**20
"""Characters of all the pictures of one conversation."""

MAX_SHOWN = 512 * 1024
"""Characters of an item's pictures that are sent back: with more, an event outgrows what clients accept."""

_FORMATS = {"data:image/png;base64,": b"\x89PNG\r\n\x1a\n", "data:image/jpeg;base64,": b"\xff\xd8\xff"}


def check(part: InputImage, where: str, sees: bool) -> None:
    """Raises :class:`ProtocolError`."""
    if not sees:
        raise invalid_value("Image input is not supported by this model.", f"{where}.type")
    url = part.image_url
    where = f"{where}.image_url"
    if not isinstance(url, str):
        raise missing(where)
    for prefix, magic in _FORMATS.items():
        if url.startswith(prefix):
            try:
                data = b64decode(url[len(prefix) :], validate=True)
            except (Base64Error, ValueError):
                raise invalid_value(
                    f"Invalid '{where}'. Expected base64-encoded image bytes.", where
                ) from None
            if data.startswith(magic):
                return
            raise invalid_value(f"Invalid '{where}'. The image is not of the format that it names.", where)
    raise invalid_value(
        f"Invalid '{where}'. Expected a data URI of a PNG or JPEG image "
        "('data:image/png;base64,...' or 'data:image/jpeg;base64,...').",
        where,
    )


def check_total(known: int, item: AnyItem) -> None:
    """Raises :class:`ProtocolError` where a conversation that holds ``known`` would hold too much."""
    if known + size(item) > MAX_CONVERSATION:
        raise ProtocolError(
            f"Error adding item: the conversation would hold more than {MAX_CONVERSATION // 2**20} MiB of "
            "images. Delete some first.",
            code="item_create_too_many_images",
        )


def size(item: AnyItem) -> int:
    """Characters of the item's pictures."""
    if not isinstance(item, Message):
        return 0
    urls = (part.image_url for part in item.content if isinstance(part, InputImage))
    return sum(len(url) for url in urls if isinstance(url, str))


def shown(item: AnyItem) -> AnyItem:
    """The item as clients see it: pictures that would make the event too long keep their place only."""
    if size(item) <= MAX_SHOWN or not isinstance(item, Message):
        return item
    content = [
        replace(part, image_url=UNSET) if isinstance(part, InputImage) else part for part in item.content
    ]
    return replace(item, content=content)
