"""The one error of the wire: what a client did wrong, and where."""

from __future__ import annotations


class ProtocolError(Exception):
    """A client's mistake, as the Realtime reference words it.

    Becomes an ``error`` event on a connection and an ``{"error": ...}`` body over HTTP.

    ``code`` is the stable name clients match on, ``param`` the path of the offending member (for example
    ``item.content[0].text``), ``event_id`` the client's own id of the event, echoed so that it can find its
    request again.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        self.type = type

    def under(self, prefix: str) -> ProtocolError:
        """The same error, its ``param`` seen from one level further out."""
        param = f"{prefix}.{self.param}" if self.param else prefix
        message = self.message
        if self.param:
            message = message.replace(f"'{self.param}'", f"'{param}'", 1)
        return ProtocolError(message, code=self.code, param=param, event_id=self.event_id, type=self.type)


def missing(param: str) -> ProtocolError:
    return ProtocolError(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def unknown(param: str) -> ProtocolError:
    return ProtocolError(f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)


def invalid_value(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code="invalid_value", param=param)
