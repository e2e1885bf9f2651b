"""The ``vivavoz`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import vivavoz
from vivavoz.config import Config, ConfigError, load, load_secrets, unknown_variables


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: ended as asked; 1: something failed; 2: the configuration cannot be used."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["models"]:
        from vivavoz.models.cli import models_command

        return models_command(arguments[1:])
    if arguments[:1] == ["replay"]:
        from vivavoz.testing.replay import replay_command

        return replay_command(arguments[1:])
    if arguments[:1] == ["bench"]:
        from vivavoz.measuring.command import bench_command

        return bench_command(arguments[1:])
    parsed = _parser().parse_args(arguments)
    try:
        return _app(parsed) if parsed.command == "app" else _serve(parsed)
    except ConfigError as error:
        print(f"vivavoz: {error}", file=sys.stderr)
        return 2


def _serve(parsed: argparse.Namespace) -> int:
    config = load(parsed.config, flags=_flags(parsed))
    secrets = load_secrets()
    for name in unknown_variables():
        print(f"vivavoz: the environment variable {name} means nothing here", file=sys.stderr)
    from vivavoz import serve

    return serve.serve(config, secrets)


def _app(parsed: argparse.Namespace) -> int:
    flags = {path: getattr(parsed, path[-1]) for path in _APP_FLAGS}
    config = load(parsed.config, flags={**flags, ("tls", "enabled"): parsed.tls})
    for name in unknown_variables():
        print(f"vivavoz: the environment variable {name} means nothing here", file=sys.stderr)
    from vivavoz import alone

    return alone.serve_application(config)


_APP_FLAGS: tuple[tuple[str, ...], ...] = (
    ("server", "host"),
    ("server", "port"),
    ("server", "log_level"),
    ("server", "state_dir"),
    ("app", "upstream"),
    ("app", "resource"),
    ("app", "endpoint"),
    ("app", "model"),
    ("app", "profiles"),
    ("app", "filter"),
)
"""Those of ``vivavoz app``, each named as the last part of its key."""


def _flags(parsed: argparse.Namespace) -> dict[tuple[str, ...], Any]:
    advertise = parsed.advertise and ",".join(parsed.advertise)
    return {
        ("server", "host"): parsed.host,
        ("server", "port"): parsed.port,
        ("server", "udp_port"): parsed.udp_port,
        ("server", "tcp_media_port"): parsed.tcp_media_port,
        ("server", "local_media"): parsed.local_media,
        ("server", "advertise"): advertise,
        ("server", "workers"): parsed.workers,
        ("server", "log_level"): parsed.log_level,
        ("server", "state_dir"): parsed.state_dir,
        ("server", "trace_dir"): parsed.trace,
        ("server", "strict_azure"): parsed.strict_azure,
        ("tls", "enabled"): parsed.tls,
        ("testing", "deterministic"): parsed.deterministic,
        ("testing", "event_log"): parsed.event_log,
        ("testing", "time"): parsed.time,
        ("default_engines",): parsed.engines,
        ("script",): parsed.script,
    }


def _parser() -> argparse.ArgumentParser:
    defaults = Config()
    parser = argparse.ArgumentParser(
        prog="vivavoz", description="The realtime voice service you run yourself."
    )
    parser.add_argument("--version", action="version", version=f"vivavoz {vivavoz.__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="serve | app | models | replay | bench"
    )
    commands.add_parser("models", help="list, fetch and verify the models of the embedded engines")
    commands.add_parser("replay", help="show what a recorded call sent, or how two recordings differ")
    commands.add_parser("bench", help="measure an endpoint of the Realtime API, this one or another")
    serve = commands.add_parser(
        "serve",
        help="run the service",
        description="Run the service. What is not given here comes from the environment (VIVAVOZ_…), then "
        "from the configuration file. The key that clients must show is VIVAVOZ_API_KEY; without one the "
        "service listens on loopback only.",
    )
    _app_arguments(commands, defaults)
    serve.add_argument("--config", metavar="FILE", help="TOML file (or VIVAVOZ_CONFIG)")
    serve.add_argument("--host", help=f"address to listen on (default {defaults.server.host})")
    serve.add_argument("--port", help=f"TCP port of HTTP (default {defaults.server.port})")
    serve.add_argument("--udp-port", help="UDP port of the media (default: the number of --port)")
    serve.add_argument(
        "--tcp-media-port", help="TCP port of the media where UDP is blocked (default: there is none)"
    )
    serve.add_argument(
        "--local-media",
        action="store_true",
        default=None,
        help="on loopback: take media on this machine's other addresses too, from itself only (for Firefox)",
    )
    serve.add_argument(
        "--advertise",
        action="append",
        metavar="ADDRESS",
        help="address that WebRTC peers are told to send to (containers, NAT); may be given several times",
    )
    serve.add_argument(
        "--engines", metavar="SET", help="scripted, embedded, multilingual, or a set of the file"
    )
    serve.add_argument("--script", metavar="FILE", help="conversation script of the scripted engines")
    serve.add_argument(
        "--trace", metavar="FOLDER", help="record every call, to replay it; a trace holds words and sound"
    )
    serve.add_argument(
        "--strict-azure",
        action="store_true",
        default=None,
        help="speak as Azure does and no more: its paths, credentials, errors (docs/azure.md)",
    )
    tests = serve.add_argument_group("for tests of your application (docs/testing-your-app.md)")
    tests.add_argument(
        "--deterministic",
        action="store_true",
        default=None,
        help="equal input gives equal events: ids are counted, times are fixed (scripted engines, loopback)",
    )
    tests.add_argument("--event-log", metavar="FILE", help="write what every call exchanges, as JSON lines")
    tests.add_argument("--time", metavar="real|virtual", help="virtual: the script's delays take no time")
    serve.add_argument(
        "--tls", action="store_true", default=None, help="HTTPS, with a local certificate if none is given"
    )
    serve.add_argument("--workers", help=f"worker processes (default {defaults.server.workers})")
    serve.add_argument("--log-level", help="debug, info, warning or error")
    serve.add_argument("--state-dir", metavar="FOLDER", help="where local secrets and certificates are kept")
    return parser


def _app_arguments(commands: Any, defaults: Config) -> None:
    app = commands.add_parser(
        "app",
        help="run the application alone, in front of Azure OpenAI, OpenAI or another vivavoz",
        description="Run the application alone: tokens, connections and the console for a service that is "
        "elsewhere. Its credentials come from the environment: AZURE_OPENAI_API_KEY or Microsoft Entra, "
        "OPENAI_API_KEY, VIVAVOZ_APP_UPSTREAM_KEY. VIVAVOZ_APP_KEY is what operators show.",
    )
    app.add_argument("--config", metavar="FILE", help="TOML file (or VIVAVOZ_CONFIG)")
    app.add_argument("--upstream", help=f"azure, openai or vivavoz (default {defaults.app.upstream})")
    app.add_argument("--resource", metavar="NAME", help="the Azure resource, as in NAME.openai.azure.com")
    app.add_argument("--endpoint", metavar="URL", help="the service's address, where it is another")
    app.add_argument("--model", metavar="NAME", help="model or deployment of profiles that name none")
    app.add_argument("--profiles", metavar="FILE", help="TOML file of named profiles (docs/profiles.md)")
    app.add_argument("--filter", help=f"on, strict or off (default {defaults.app.filter})")
    app.add_argument("--host", help=f"address to listen on (default {defaults.server.host})")
    app.add_argument("--port", help=f"TCP port (default {defaults.server.port})")
    app.add_argument(
        "--tls", action="store_true", default=None, help="HTTPS, with a local certificate if none is given"
    )
    app.add_argument("--log-level", help="debug, info, warning or error")
    app.add_argument("--state-dir", metavar="FOLDER", help="where the database and recordings are kept")


if __name__ == "__main__":
    sys.exit(main())
