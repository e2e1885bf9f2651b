"""The upstream that is configured."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from vivavoz.app.config import App
from vivavoz.app.errors import SetupError
from vivavoz.app.plan import Service
from vivavoz.app.secrets import AZURE_KEY, OPENAI_KEY, VIVAVOZ_KEY, secret
from vivavoz.app.upstream import azure, openai
from vivavoz.app.upstream.credentials import Credential, Key
from vivavoz.app.upstream.entra import Entra, TokenSource, default_source
from vivavoz.app.upstream.http import Http
from vivavoz.app.upstream.vivavoz import PREFIX, Vivavoz

Built = Vivavoz | azure.Azure | openai.OpenAI

_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


def build_upstream(
    config: App,
    environment: Mapping[str, str],
    *,
    service: Service | None = None,
    token_source: TokenSource | None = None,
) -> tuple[Built, Entra | None]:
    """The upstream, and the Entra credential that wants to be kept fresh, where there is one.

    ``service``: our own, on this machine. ``token_source``: in place of ``DefaultAzureCredential``. Raises
    SetupError.
    """
    if config.filter == "strict" and config.upstream != "vivavoz":
        raise SetupError(f"app.filter: 'strict' is of vivavoz only; {config.upstream} has no such filter")
    if config.resource is not None and config.upstream != "azure":
        raise SetupError("app.resource: names an Azure resource; app.upstream is not 'azure'")
    if config.credential == "entra" and config.upstream != "azure":
        raise SetupError("app.credential: 'entra' is for Azure; app.upstream is not 'azure'")
    match config.upstream:
        case "vivavoz":
            return _vivavoz(config, environment, service), None
        case "openai":
            endpoint = _endpoint(config.endpoint or openai.ENDPOINT)
            key = secret(environment, OPENAI_KEY)
            if key is None:
                raise SetupError(f"app.upstream 'openai' needs a key: set {OPENAI_KEY}")
            return openai.OpenAI(Http(endpoint, Key(key)), endpoint), None
    return _azure(config, environment, token_source)


def _vivavoz(config: App, environment: Mapping[str, str], service: Service | None) -> Built:
    if config.endpoint is None:
        if service is None or not service.sockets:
            raise SetupError("app.endpoint: where is the service? For example http://127.0.0.1:8080")
        workers = [Http("http://localhost", Key(service.key), socket=path) for path in service.sockets]
        if not service.strict_azure:
            return Vivavoz(workers)
        if config.filter == "strict":
            raise SetupError("app.filter: 'strict' is no filter of Azure's, and the service is strict_azure")
        return azure.Azure(workers[0], "", "vivavoz")
    # Its own network is the operator's to judge; a hosted service's is not.
    endpoint = _endpoint(config.endpoint, plain=True)
    http = Http(endpoint, Key(secret(environment, VIVAVOZ_KEY)))
    return Vivavoz([http], f"{endpoint}{PREFIX}/realtime/calls")


def _azure(
    config: App, environment: Mapping[str, str], token_source: TokenSource | None
) -> tuple[azure.Azure, Entra | None]:
    if (config.resource is None) == (config.endpoint is None):
        raise SetupError("app.upstream 'azure' needs app.resource or app.endpoint, and one of them only")
    if config.resource is not None and not _RESOURCE.fullmatch(config.resource):
        raise SetupError(
            "app.resource: expected a name of letters, digits and '-', as in NAME.openai.azure.com"
        )
    endpoint = _endpoint(config.endpoint or azure.endpoint_of(config.resource or ""))
    credential: Credential
    key = None if config.credential == "entra" else secret(environment, AZURE_KEY)
    if key is not None:
        return azure.Azure(Http(endpoint, Key(key, azure=True)), endpoint), None
    if config.credential == "key":
        raise SetupError(f"app.credential 'key': set {AZURE_KEY}")
    if token_source is None:
        try:
            token_source = default_source()
        except ImportError as error:
            raise SetupError(
                f"Entra needs the package azure-identity: pip install 'vivavoz[azure]', or set {AZURE_KEY}"
            ) from error
    credential = Entra(token_source, config.audience or azure.audience_of(endpoint))
    return azure.Azure(Http(endpoint, credential), endpoint), credential


def _endpoint(text: str, *, plain: bool = False) -> str:
    """Without what clients of the API put behind it. Raises SetupError."""
    text = text.rstrip("/")
    for suffix in ("/openai/v1", "/openai", "/v1"):
        text = text.removesuffix(suffix)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise SetupError("app.endpoint: expected an address like https://NAME.openai.azure.com")
    if parts.scheme == "http" and not plain and not _local(host):
        raise SetupError(f"app.endpoint: {host} is not on this machine: the credential needs https://")
    return text


def _local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
