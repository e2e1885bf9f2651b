"""``vivavoz app``: the application by itself, as a person starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.running import free_port, vivavoz
from tests.server.test_end_to_end import OFFER
from vivavoz.cli import main

KEY = "a-key-of-the-service"
PROMPT = "You are Marvin, and nobody shall know."
VIVAVOZ = Path(sys.executable).with_name("vivavoz")


def environment(**own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVAVOZ_", "OPENAI_"))}
    return {**kept, **own}


@contextlib.contextmanager
def running(
    arguments: list[str], folder: Path, own: Mapping[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """URL, process and log."""
    port = free_port()
    log = folder / "app.log"
    command = [VIVAVOZ, "app", *arguments, "--port", str(port), "--state-dir", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(**own), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/app", timeout=5).close()
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process, log
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("upstream", ["vivavoz", "openai"])
async def test_it_stands_before_a_service_that_is_elsewhere(upstream: str, tmp_path: Path) -> None:
    with vivavoz(tmp_path, key=KEY) as service:
        profiles = tmp_path / "profiles.toml"
        profiles.write_text(f'[profiles.default.session]\ninstructions = "{PROMPT}"\n')
        arguments = ["--upstream", upstream, "--endpoint", service.url, "--profiles", str(profiles)]
        own = {"OPENAI_API_KEY": KEY, "VIVAVOZ_APP_UPSTREAM_KEY": KEY}
        with running(arguments, tmp_path, own) as (url, process, log):
            async with aiohttp.ClientSession() as http:
                async with http.get(url) as page:
                    assert page.content_type == "text/html"
                    # The page's offers go to the service by themselves.
                    assert service.url in page.headers["Content-Security-Policy"]
                    shown = await page.text()
                async with http.get(f"{url}/api/app") as told:
                    shown += await told.text()
                async with http.get(f"{url}/token") as token:
                    assert (await token.json())["endpoint"].startswith(service.url)
                form = aiohttp.FormData({"sdp": OFFER}, default_to_multipart=True)
                async with http.post(f"{url}/connect", data=form) as answer:
                    assert answer.status == 201
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            written = log.read_text()
    assert "listening on http://127.0.0.1:" in written
    for text in (shown, written):
        assert KEY not in text
        assert PROMPT not in text
    assert "ek_" not in written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "app.endpoint: where is the service?"),
        (["--upstream", "gold"], "--upstream: invalid"),
        (["--upstream", "openai"], "OPENAI_API_KEY"),
        (["--upstream", "azure"], "needs app.resource or app.endpoint"),
        (["--upstream", "azure", "--resource", "a.b/c", "--model", "m"], "app.resource: expected a name"),
        (["--upstream", "azure", "--resource", "a"], "app.model: name the deployment"),
        (["--upstream", "azure", "--endpoint", "http://a.example", "--model", "m"], "needs https"),
        (["--upstream", "azure", "--endpoint", "ftp://a", "--model", "m"], "expected an address"),
        (["--endpoint", "http://127.0.0.1:1", "--resource", "x"], "app.upstream is not 'azure'"),
        (["--endpoint", "http://127.0.0.1:1", "--host", "0.0.0.0"], "VIVAVOZ_APP_KEY"),
        (["--endpoint", "http://127.0.0.1:1", "--profiles", "nothing.toml"], "nothing.toml: cannot be read"),
        (["--upstream", "azure", "--resource", "a", "--filter", "strict"], "'strict' is of vivavoz only"),
    ],
)
def test_what_cannot_work_does_not_start(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.setenv("VIVAVOZ_STATE_DIR", str(tmp_path))
    assert main(["app", "--port", "0", *arguments]) == 2
    assert message in capsys.readouterr().err
