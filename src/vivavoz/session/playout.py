"""What was played of what was said, where playout is the server's (WebRTC).

Each assistant item's sound is one entry, in the order in which it is played. The machine turns the media
path's reports into ``output_audio_buffer`` facts, once per response.
"""

from __future__ import annotations

from vivavoz.wire.base import Data


class Playing(Data):
    item_id: str
    response_id: str


class Playout(Data):
    """``enabled`` False: playout is the client's, nothing is tracked."""

    enabled: bool = False
    queue: list[Playing] = []
    heard: list[str] = []
    """Responses whose sound has begun to be heard and has not stopped."""

    @property
    def busy(self) -> bool:
        return bool(self.queue)

    def write(self, item_id: str, response_id: str) -> None:
        """Sound of this item goes out."""
        if self.enabled and self._find(item_id) is None:
            self.queue.append(Playing(item_id=item_id, response_id=response_id))

    def end(self, item_id: str) -> bool:
        """The item's sound is complete; whether there is any to play."""
        return self._find(item_id) is not None

    def started(self, item_id: str) -> str | None:
        """The response whose sound has just begun to be heard, or None."""
        playing = self._find(item_id)
        if playing is None or playing.response_id in self.heard:
            return None
        self.heard.append(playing.response_id)
        return playing.response_id

    def finished(self, item_id: str) -> str | None:
        """The response whose sound has just been played to its end, or None."""
        playing = self._find(item_id)
        if playing is None:
            return None
        self.queue.remove(playing)
        more = any(other.response_id == playing.response_id for other in self.queue)
        if more or playing.response_id not in self.heard:
            return None
        self.heard.remove(playing.response_id)
        return playing.response_id

    def flush(self) -> list[str]:
        """Everything unplayed is gone; the responses that were being heard."""
        heard, self.heard, self.queue = self.heard, [], []
        return heard

    def _find(self, item_id: str) -> Playing | None:
        return next((playing for playing in self.queue if playing.item_id == item_id), None)
