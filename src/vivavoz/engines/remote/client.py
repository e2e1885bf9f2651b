"""The way to an OpenAI-compatible endpoint, and its failures in words that may be shown.

The ``openai`` package is imported here, late: who uses no remote engine needs no such package.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vivavoz.engines.ports import EngineError
from vivavoz.engines.spec import RemoteStage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS = 5.0

_BY_STATUS = {
    400: ("engine_bad_request", "did not accept the request"),
    401: ("engine_auth_failed", "refused the key"),
    403: ("engine_auth_failed", "refused the key"),
    404: ("engine_model_not_found", "does not know the model or the path"),
    408: ("engine_timeout", "took too long"),
    413: ("engine_bad_request", "found the request too large"),
    422: ("engine_bad_request", "did not accept the request"),
    429: ("engine_rate_limited", "is over its rate limit or quota"),
}


class Endpoint:
    """One stage's endpoint: its client, and what is said of it when it fails.

    Raises EngineError where the ``openai`` package or the variable with the key is missing. No message of
    it repeats what the server said: servers quote keys and prompts.
    """

    def __init__(self, stage: RemoteStage, task: str) -> None:
        self.model = stage.model
        self.timeout = stage.timeout_seconds
        self._task = task
        self._key_variable = stage.api_key_env
        parts = urlsplit(stage.base_url)
        self._host = parts.hostname or "?"
        self.place = f"{self._host}:{parts.port}" if parts.port else self._host
        self.package = _load(task)
        """The ``openai`` module."""
        self.headers: dict[str, Any] = {}
        """To go with every request (``extra_headers``)."""
        self.client = self._open(stage)

    def __repr__(self) -> str:
        return f"Endpoint({self._task}, {self.model!r} at {self.place})"

    async def close(self) -> None:
        await self.client.close()

    def _open(self, stage: RemoteStage) -> AsyncOpenAI:
        openai = self.package
        key = None
        if self._key_variable is not None:
            key = os.environ.get(self._key_variable, "").strip()
            if not key:
                raise EngineError(
                    f"The {self._task} at {self.place} needs its key in the environment variable "
                    f"{self._key_variable}, which is not set.",
                    "engine_key_missing",
                )
        else:
            self.headers["Authorization"] = openai.Omit()
        if not self._host.endswith("openai.com"):
            # These come from the environment and are nobody else's business.
            self.headers["OpenAI-Organization"] = openai.Omit()
            self.headers["OpenAI-Project"] = openai.Omit()
        timeout = openai.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout))
        client: AsyncOpenAI = openai.AsyncOpenAI(
            base_url=stage.base_url,
            api_key=key or "none",
            timeout=timeout,
            max_retries=0,  # a caller waits: a late answer is worth less than an early failure
            # What stays on this machine must not go through somebody's proxy.
            http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=False)
            if _is_loopback(self._host)
            else None,
        )
        return client

    @contextmanager
    def failures(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what goes wrong with the endpoint into EngineError; let our own bugs through. ``reading``:
        the answer has begun, so a lost connection has broken it off."""
        try:
            yield
        except EngineError:
            raise
        except Exception as error:
            told = self._explain(error, reading)
            if told is None:
                raise
            # Not chained: the original carries the request, and so the prompt.
            raise told from None

    def _explain(self, error: Exception, reading: bool) -> EngineError | None:
        openai = self.package
        if isinstance(error, openai.APIStatusError):
            code, what = _BY_STATUS.get(error.status_code, ("engine_server_error", "failed"))
            return self.error(f"{what} ({error.status_code})", code)
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return self.error(f"did not answer within {self.timeout:g} s", "engine_timeout")
        if isinstance(error, openai.APIConnectionError):
            if reading:
                return self.broken_off()
            return self.error("cannot be reached", "engine_unreachable")
        if isinstance(error, openai.OpenAIError | json.JSONDecodeError | UnicodeDecodeError):
            return self.not_an_answer()
        if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2"):
            if "Timeout" in type(error).__name__:
                return self.error(f"did not go on within {self.timeout:g} s", "engine_timeout")
            return self.broken_off()
        return None

    def broken_off(self) -> EngineError:
        return self.error("broke off in the middle of an answer", "engine_bad_response")

    def not_an_answer(self) -> EngineError:
        return self.error("sent something that is not an answer", "engine_bad_response")

    def error(self, what: str, code: str) -> EngineError:
        hint = ""
        if code == "engine_auth_failed":
            variable = self._key_variable
            hint = f" It was taken from {variable}." if variable else " None is configured (api_key_env)."
        return EngineError(f"The {self._task} {self.model!r} at {self.place} {what}.{hint}", code)


def _load(task: str) -> Any:
    try:
        return importlib.import_module("openai")
    except ImportError:
        raise EngineError(
            f"The remote {task} needs the openai package: pip install 'vivavoz[remote]'",
            "engine_package_missing",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
