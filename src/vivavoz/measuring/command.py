"""``vivavoz bench URL``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import vivavoz
from vivavoz.measuring.endpoint import Endpoint, Trouble
from vivavoz.measuring.line import Transport
from vivavoz.measuring.report import Report
from vivavoz.measuring.run import Plan, measure

_KEYS = ("VIVAVOZ_API_KEY", "OPENAI_API_KEY")
_AZURE_KEYS = ("VIVAVOZ_API_KEY", "AZURE_OPENAI_API_KEY")
_TRANSPORTS: dict[str, tuple[Transport, ...]] = {
    "webrtc": ("webrtc",),
    "websocket": ("websocket",),
    "both": ("webrtc", "websocket"),
}


def bench_command(argv: Sequence[str]) -> int:
    """Run it with the arguments behind ``bench``. 0: measured; 1: nothing could be; 2: not asked properly,
    or refused; 130: interrupted, and what was measured is shown."""
    arguments = _parser().parse_args(argv)
    try:
        key, source = _key(arguments.key_file, os.environ, azure=arguments.azure)
        endpoint = Endpoint(arguments.url, model=arguments.model, key=key, azure=arguments.azure)
        plan = _plan(arguments)
    except Trouble as error:
        return _complain(str(error), 2)
    _progress(f"{endpoint.shown}: key {f'of {source}' if source else 'none'}")
    report = Report(endpoint.shown, vivavoz.__version__)
    code = 0
    try:
        asyncio.run(measure(endpoint, plan, report, _progress))
    except Trouble as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        report.notes.append("interrupted: what was measured until then")
        code = 130
    finally:
        sys.stdout.write(report.text() + "\n")
    if arguments.json:
        try:
            arguments.json.write_text(json.dumps(report.figures(), indent=2) + "\n")
        except OSError as error:
            return _complain(f"{arguments.json}: {error.strerror}", 1)
    return code or (0 if report.anything else 1)


def _plan(arguments: argparse.Namespace) -> Plan:
    quick: bool = arguments.quick
    return Plan(
        transports=_TRANSPORTS[arguments.transport],
        calls=arguments.calls or (2 if quick else 4),
        seconds=arguments.seconds or (4.0 if quick else 15.0),
        turns=arguments.turns or (3 if quick else 10),
        setups=2 if quick else 10,
        round_trips=5 if quick else 50,
        window_ms=arguments.silence_ms,
        wav=tuple(arguments.wav),
        voice=arguments.voice,
        remote=arguments.yes_remote,
    )


def _key(file: Path | None, environment: Mapping[str, str], *, azure: bool) -> tuple[str | None, str]:
    """The key and where it is from. Raises :class:`Trouble`."""
    if file is not None:
        try:
            return _checked(file.read_text().strip(), str(file)), str(file)
        except (OSError, UnicodeDecodeError):
            raise Trouble(f"--key-file {file}: cannot be read") from None
    for name in _AZURE_KEYS if azure else _KEYS:
        # A service may have several keys, separated by commas.
        if value := environment.get(name, "").partition(",")[0].strip():
            return _checked(value, name), name
    return None, ""


def _checked(key: str, source: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise Trouble(f"{source}: a key is one line of visible ASCII characters")
    return key


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vivavoz bench",
        description="Measure an endpoint that speaks the Realtime API, over WebRTC and WebSocket: set-up, "
        "round trips of events, voice to voice, how soon it stops for who speaks, how evenly sound comes, "
        "and which events came (docs/benchmarks.md). Some three minutes, ten at most.",
        epilog="The key comes from VIVAVOZ_API_KEY or OPENAI_API_KEY (with --azure AZURE_OPENAI_API_KEY), or "
        "from --key-file, and is never shown.",
    )
    parser.add_argument("url", metavar="URL", help="http://127.0.0.1:8080, with or without the API's path")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds the key alone")
    parser.add_argument("--model", default="gpt-realtime", metavar="NAME", help="(default %(default)s)")
    parser.add_argument("--transport", choices=sorted(_TRANSPORTS), default="both", help="(default both)")
    parser.add_argument("--azure", action="store_true", help="Azure's paths, header and client secrets")
    parser.add_argument("--calls", type=_count(64), metavar="N", help="calls at once (default 4)")
    parser.add_argument(
        "--seconds", type=_count(120), metavar="S", help="to listen to one call, then to N (default 15)"
    )
    parser.add_argument("--turns", type=_count(100), metavar="N", help="spoken questions (default 10)")
    parser.add_argument(
        "--silence-ms",
        type=_count(5000),
        default=500,
        metavar="MS",
        help="silence that ends a turn (default %(default)s)",
    )
    parser.add_argument(
        "--wav",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a recorded question (16-bit PCM); may be given several times",
    )
    parser.add_argument(
        "--voice",
        choices=("auto", "embedded", "scripted"),
        default="auto",
        help="who asks without --wav: the embedded voice, or sounds that scripted engines take for speech",
    )
    parser.add_argument("--quick", action="store_true", help="a few of each: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--yes-remote",
        action="store_true",
        help="measure what is not on this machine or in a private network: costs, and is shared with others",
    )
    return parser


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most}")
        return value

    read.__name__ = "number"
    return read


def _progress(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"vivavoz: {text}\n")
    return code
