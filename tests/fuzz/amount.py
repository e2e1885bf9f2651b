"""How much is tried, and which of it: ``VIVAVOZ_FUZZ`` asks for a number of events, and then for others each
time; ``VIVAVOZ_FUZZ_SEED`` for those of an earlier run."""

from __future__ import annotations

import os
import secrets

_ASKED = os.environ.get("VIVAVOZ_FUZZ", "")

EVENTS = int(_ASKED or 20_000)
SEED = os.environ.get("VIVAVOZ_FUZZ_SEED") or (secrets.token_hex(4) if _ASKED else "0")
