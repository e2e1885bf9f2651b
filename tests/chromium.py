"""A real Chromium for tests: headless, offline but for loopback, with a microphone made of a WAV file."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",  # Chromium refuses root with it, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Else no 127.0.0.1 candidates are gathered.
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


def executable() -> str:
    """Skips the test where there is no Chromium; where tests must not be skipped (CI), fails it."""
    names = [os.environ.get("VIVAVOZ_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        message = "no Chromium: make test installs it, or names the command"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextlib.contextmanager
def chromium(microphone: Path | None = None, flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A browser of its own. With ``microphone``, every page may use it, and it speaks the file once."""
    own = list(FLAGS)
    if microphone is not None:
        own += [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(),
            args=[*own, *flags],
            # Muted, Chromium decodes no remote sound, and there is nothing to measure.
            ignore_default_args=["--mute-audio"],
        )
        try:
            yield browser
        finally:
            browser.close()
