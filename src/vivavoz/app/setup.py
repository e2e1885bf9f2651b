"""Parts of the application as they are configured, and what is said of it at the start."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vivavoz.app.config import App
from vivavoz.app.errors import SetupError
from vivavoz.app.profiles import ProfileError, Profiles
from vivavoz.app.secrets import OIDC_SECRET, secret

if TYPE_CHECKING:
    from vivavoz.app.access.oidc import OidcLogin
    from vivavoz.app.service import Application

log = logging.getLogger("vivavoz.app")


def login_of(config: App, environment: Mapping[str, str]) -> OidcLogin:
    """The OpenID provider's. Raises SetupError."""
    access = config.access
    for name in ("public_url", "oidc_issuer", "oidc_client_id"):
        if not getattr(access, name):
            raise SetupError(f"app.access.{name}: login 'oidc' needs it")
    try:
        from vivavoz.app.access.oidc import OidcLogin
        from vivavoz.app.access.provider import Provider
    except ImportError as error:
        raise SetupError("login 'oidc' needs the package authlib: pip install 'vivavoz[login]'") from error
    client_secret = secret(environment, OIDC_SECRET)
    provider = Provider(access.oidc_issuer or "", access.oidc_client_id or "", client_secret)
    return OidcLogin(
        provider, public_url=access.public_url or "", claim=access.oidc_user_claim, seal=client_secret
    )


def profiles_of(config: App) -> Profiles:
    """Raises SetupError."""
    model = config.model or ("gpt-realtime" if config.upstream == "openai" else None)
    try:
        profiles = Profiles.load(
            config.profiles,
            default=config.default_profile,
            model=model,
            strict=config.upstream == "vivavoz",
        )
    except ProfileError as error:
        raise SetupError(f"app.profiles: {error}") from error
    for profile in profiles:
        if profile.model is None and config.upstream == "azure":
            raise SetupError(
                f"app.model: name the deployment; the profile '{profile.name}' names none either"
            )
    return profiles


def announce(application: Application) -> None:
    """What an operator should know before anybody calls."""
    config, name = application.config, application.upstream.name
    reads = application.browser_reads_session
    if not config.tokens:
        reads = {"connect": reads["connect"]}
    readable = [f"/{way}" for way, can in reads.items() if can]
    if readable:
        log.warning(
            "%s: browsers that call through %s can read the session, instructions and tools included "
            "(docs/security.md)",
            name,
            " or ".join(readable),
        )
    access = config.access
    if access.open:
        log.warning("app.access.open: whoever reaches the application may talk")
    if application.access.unprotected:
        log.info("application: nothing is configured that tells users apart: everybody is operator")
    log.info(
        "application: %s, %d profiles, filter %s, tokens %s",
        name,
        len(application.profiles),
        application.filtered,
        f"of {config.token_seconds} s" if config.tokens else "off",
    )
