"""``python -m bench [NAME …]``: measure, print tables, keep the figures in ``bench/out/``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from bench.rig import Skipped

NAMES = {
    "core": "what a step of the session core costs",
    "codec": "decoding and encoding of events, against pydantic",
    "latency": "speech to answer, and speech to silence (scripted engines)",
    "embedded": "speech to answer with models, against a bare chain of the same models",
    "loss": "words lost to a bad network, through the real recogniser",
    "peers": "our media path against aiortc, pipecat and libwebrtc: CPU, calls a core, delay, memory",
    "noise": "what noise reduction costs and takes away",
    "echo": "interruptions by our own echo, and what telling them apart costs",
    "stalls": "pacing of calls while engine processes are killed and stopped",
    "memory": "memory over 200 calls",
    "observers": "what an observer costs a call",
    "app": "what the application adds to the service behind it",
    "observed": "what observing and recording calls costs",
    "startup": "from the command to a page, and to ready",
}


def main() -> int:
    described = "\n".join(f"  {name:<11}{what}" for name, what in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=described, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works, not to quote")
    parsed = parser.parse_args()
    unknown = [name for name in parsed.names if name not in NAMES]
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}")
    failed = []
    for name in parsed.names or NAMES:
        began = time.monotonic()
        try:
            importlib.import_module(f"bench.{name}").run(quick=parsed.quick)
        except Skipped as reason:
            print(f"\n{name}: skipped, {reason}")
        except Exception as error:
            print(f"\n{name}: failed: {error!r}", file=sys.stderr)
            failed.append(name)
        print(f"  ({name}: {time.monotonic() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
