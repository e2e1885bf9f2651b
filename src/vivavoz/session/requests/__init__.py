"""The client events: one function each. A client's mistake raises :class:`ProtocolError` before anything has
changed.

==================  =====================================================================
``updates.py``      ``session.update``
``buffers.py``      ``input_audio_buffer.*``, ``output_audio_buffer.clear``
``items.py``        ``conversation.item.*``
``responses.py``    ``response.create``, ``response.cancel``
==================  =====================================================================
"""

from __future__ import annotations

from typing import Any

from vivavoz.session.requests import buffers, items, responses, updates
from vivavoz.wire.client_events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)

HANDLERS: dict[type, Any] = {
    SessionUpdate: updates.update,
    InputAudioBufferAppend: buffers.append,
    InputAudioBufferCommit: buffers.commit,
    InputAudioBufferClear: buffers.clear,
    OutputAudioBufferClear: buffers.output_clear,
    ConversationItemCreate: items.create,
    ConversationItemRetrieve: items.retrieve,
    ConversationItemTruncate: items.truncate,
    ConversationItemDelete: items.delete,
    ResponseCreate: responses.create,
    ResponseCancel: responses.cancel,
}
