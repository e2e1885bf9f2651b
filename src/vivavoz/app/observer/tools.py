"""Python functions as tools of a call: what the model is told of them, and how they are called.

A profile names them ``package.module:function``. The parameters are the function's own, by name; their types
make the JSON schema and are what arguments are checked against. The docstring's first paragraph describes the
tool, ``Annotated[str, msgspec.Meta(description="…")]`` a parameter. A parameter of type
:class:`ToolContext` is filled in and not shown to the model.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from vivavoz.wire.codec import decode
from vivavoz.wire.errors import ProtocolError

MAX_OUTPUT_BYTES = 32 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolsError(ValueError):
    """A profile's tool cannot be used; the message names it and what is wrong."""


class ToolFailed(Exception):
    """Raised by a tool; its text is told to the model. Of other exceptions the model learns nothing."""


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """Whose call a tool is called in."""

    call_id: str
    profile: str
    user: str


class Tool:
    """One function. ``asynchronous``: a coroutine function; others are called in a thread."""

    def __init__(self, function: Callable[..., Any], named: str | None = None) -> None:
        """Raises ToolsError; ``named`` is what its message calls the function."""
        self.function = function
        self.name = function.__name__
        named = named or self.name
        if not _NAME.fullmatch(self.name):
            raise ToolsError(f"tool '{named}': a tool's name has 1 to 64 letters, digits, '-' and '_'")
        self.asynchronous = inspect.iscoroutinefunction(function)
        self.description = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
        self._context: str | None = None
        self._arguments = self._struct(named)
        self.parameters = _schema(self._arguments)

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as a session's ``tools`` have it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }

    def arguments(self, text: str, context: ToolContext) -> dict[str, Any]:
        """The keyword arguments. Raises ToolFailed, which names the argument and what was expected."""
        try:
            read = decode(text or "{}", self._arguments)
        except ProtocolError as error:
            named = f" ({error.param})" if error.param and error.param not in error.message else ""
            raise ToolFailed(f"The arguments do not fit: {error.message}{named}") from None
        given = {name: getattr(read, name) for name in self._arguments.__struct_fields__}
        return given if self._context is None else {**given, self._context: context}

    def _struct(self, named: str) -> type[msgspec.Struct]:
        try:
            hints = typing.get_type_hints(self.function, include_extras=True)
            parameters = inspect.signature(self.function).parameters.values()
        except (NameError, TypeError, ValueError) as error:
            raise ToolsError(f"tool '{named}': its signature cannot be read: {error}") from None
        members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ToolsError(f"tool '{named}': parameter '{parameter.name}' cannot be given by name")
            kind = hints.get(parameter.name, Any)
            if kind is ToolContext:
                self._context = parameter.name
            elif parameter.default is parameter.empty:
                members.append((parameter.name, kind))
            else:
                members.append((parameter.name, kind, parameter.default))
        try:
            struct = msgspec.defstruct(self.name, members, kw_only=True, forbid_unknown_fields=True)
            msgspec.json.Decoder(struct)
            _schema(struct)
        except (TypeError, ValueError) as error:
            raise ToolsError(f"tool '{named}': its parameters have no JSON schema: {error}") from None
        return struct


class Toolbox:
    """The tools of a profile, by name."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        """Raises ToolsError where two have one name."""
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ToolsError(f"tool '{tool.name}' is named twice")
            self._tools[tool.name] = tool
        self.names = frozenset(self._tools)

    @classmethod
    def load(cls, named: Iterable[str]) -> Toolbox:
        """``named``: ``package.module:function`` each. Imports them. Raises ToolsError."""
        return cls(Tool(_function(each), each) for each in named)

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """The tools as a session's ``tools`` have them."""
        return [tool.definition for tool in self]

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)


def output_of(result: Any) -> str:
    """What the model is given of a tool's result: text as it is, anything else as JSON. Raises ToolFailed."""
    if isinstance(result, str):
        text = result
    else:
        try:
            text = msgspec.json.encode(result).decode()
        except (TypeError, ValueError, RecursionError):
            raise ToolFailed(f"The tool gave a {type(result).__name__}, which is no JSON.") from None
    if len(text.encode("utf-8", "replace")) > MAX_OUTPUT_BYTES:
        raise ToolFailed(f"The tool gave more than {MAX_OUTPUT_BYTES} bytes.")
    return text


def _function(named: str) -> Callable[..., Any]:
    module, colon, name = named.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ToolsError(f"tool '{named}': expected 'package.module:function'")
    try:
        function = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ToolsError(f"tool '{named}': its module cannot be imported: {error}") from None
    except AttributeError:
        raise ToolsError(f"tool '{named}': the module '{module}' has no '{name}'") from None
    if not inspect.isroutine(function):
        raise ToolsError(f"tool '{named}': '{name}' is no function")
    return function


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([struct])
    schema = components.pop(struct.__name__)
    schema.pop("title", None)
    return {**schema, **({"$defs": components} if components else {})}
