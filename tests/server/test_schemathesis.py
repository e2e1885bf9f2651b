"""A stranger reads ``/openapi.json`` and tries what it says, and what it forbids, on a real service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.running import vivavoz
from tests.server.fakes import KEY

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 300
"""It takes 15 s where the machine has nothing else to do."""

ARGUMENTS = (
    "--phases=examples,coverage,fuzzing",
    "--max-examples=5",
    "--seed=1",
    # A schema cannot say all that is wrong: that two tools have one name, or that an offer has no audio.
    "--exclude-checks=positive_data_acceptance",
    # One prefix stands for the three, and one of the paths that take offers under it for the others.
    "--include-path-regex=^/(v1/|healthz|readyz|openapi)",
    "--exclude-path=/v1/realtimertc",
    "--no-color",
    "--warnings=off",
)


def test_the_service_does_what_its_document_says(tmp_path: Path) -> None:
    """No 5xx; statuses, content types, headers and bodies as documented; what the document forbids, unknown
    methods and missing credentials are refused."""
    with vivavoz(tmp_path, key=KEY) as service:
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{service.url}/openapi.json"]
        done = subprocess.run(
            [*command, "-H", f"Authorization: Bearer {KEY}", *ARGUMENTS],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.server.schemathesis_hooks",
            },
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert service.process.poll() is None
        assert service.get("/healthz")["status"] == "ready"
    assert done.returncode == 0, done.stdout + done.stderr
    assert " generated, " in done.stdout
    log = service.log.read_text()
    assert "Traceback" not in log
    assert KEY not in log
