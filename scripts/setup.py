"""Make `.venv` fit to run (`run`) or to test (`test`), from whatever state the checkout is in.

Standard library only: it runs before anything is installed. What is already right is left alone, so a
second run costs a moment. What Debian is missing is installed where we are root, and named with its command
where not.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
FOREIGN_PYTHON = ROOT / "tests/conformance/python"
FOREIGN_CLIENTS = {
    "openai": "requirements.txt",
    "agents": "agents.txt",
    "livekit": "livekit.txt",
    "pipecat": "pipecat.txt",
}
"""Environments `.venv-<name>` and what goes into them: together about 1.1 GB and a minute and a half."""
FOREIGN_JS = ROOT / "tests/conformance/js"
EXTRAS = "azure,login,mcp,remote"
"""What `make setup` installs wherever it can; the embedded engines come with it where they are built for."""
STAMP = "vivavoz-setup.json"
OLDEST = (3, 11)
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


class SetupError(Exception):
    """What is wrong, with the command that mends it: shown to the person, without a traceback."""


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def run(*command: str | Path, cwd: Path = ROOT, quiet: bool = False) -> bool:
    """Run a command; True when it succeeded. `quiet` shows its output only when it fails."""
    words = [str(word) for word in command]
    if not quiet:
        return subprocess.run(words, cwd=cwd, check=False).returncode == 0
    done = subprocess.run(
        words, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout, end="", flush=True)
    return done.returncode == 0


# ------------------------------------------------------------------------------------------------ Debian


def apt_install(package: str, why: str) -> bool:
    """Install one Debian package where we are root, else print the command. True when it is there now."""
    if shutil.which("apt-get") is None:
        say(f"missing: {package} ({why}). Install it with this system's package manager.")
        return False
    if os.geteuid() != 0:
        say(f"missing: {package} ({why}). To install it:  sudo apt-get install -y {package}")
        return False
    say(f"installing {package} from Debian ({why})")
    install = (
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        package,
    )
    if run(*install, quiet=True):
        return True
    say("its package list is old or absent: apt-get update")
    return run("apt-get", "update", "-q", quiet=True) and run(*install, quiet=True)


def find_python() -> str:
    """The first interpreter that is new enough, with `venv` and `ensurepip` in it."""
    names = [sys.executable, *(f"python3.{minor}" for minor in (14, 13, 12, 11)), "python3"]
    probe = "import sys; print('%d %d' % sys.version_info[:2])"
    for name in names:
        path = shutil.which(name)
        if path is None:
            continue
        answer = subprocess.run([path, "-c", probe], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and tuple(map(int, answer.stdout.split())) >= OLDEST:
            return path
    have = platform.python_version()
    raise SetupError(
        f"Python 3.11 or newer is needed (this is {have}):  sudo apt-get install -y python3 python3-venv"
    )


def has_venv(python: str) -> bool:
    return run(python, "-c", "import venv, ensurepip", quiet=True)


# --------------------------------------------------------------------------------------------------- venv


def digest(*parts: str | Path) -> str:
    """A name for a state of the inputs: files by content, strings as they are."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        total.update(b"\0")
    return total.hexdigest()


def stamps(venv: Path) -> dict[str, str]:
    try:
        found = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def set_stamp(venv: Path, name: str, value: str | None) -> None:
    """Remember (or, with None, forget) that this part of the environment is complete."""
    now = stamps(venv)
    now.pop(name, None)
    if value is not None:
        now[name] = value
    (venv / STAMP).write_text(json.dumps(now, indent=1) + "\n")


def fault(venv: Path) -> str | None:
    """Why this environment cannot be used as it stands, or None."""
    python = venv / "bin/python"
    if not venv.exists():
        return "absent"
    if not python.exists():
        return "its interpreter is gone"
    probe = "import sys, pip; sys.exit(not (sys.version_info >= (3, 11) and sys.prefix == sys.argv[1]))"
    answer = subprocess.run([python, "-c", probe, str(venv)], capture_output=True, check=False)
    if answer.returncode != 0:
        return "its interpreter or pip is broken or too old"
    pip = venv / "bin/pip"
    if not pip.exists() or str(venv) not in pip.read_text(errors="replace")[:1000]:
        return "it was made in another folder"
    return None


def make_venv(venv: Path) -> None:
    """A usable environment with a current pip, kept where it is sound and rebuilt where it is not."""
    why = fault(venv)
    if why is None:
        return
    say(f"making {venv.name} ({why})")
    if venv.is_symlink() or venv.is_file():
        venv.unlink()
    elif venv.exists():
        shutil.rmtree(venv)
    python = find_python()
    if not has_venv(python):
        # Debian keeps ensurepip apart; the versioned name fits an interpreter that is not the default one.
        apt_install("python3-venv", "it makes .venv")
        if not has_venv(python):
            raise SetupError(f"{python} has no venv module:  sudo apt-get install -y python3-venv")
    if not run(python, "-m", "venv", venv):
        raise SetupError(f"{python} -m venv failed")
    # Dependency groups need pip 25.1; Debian's is older.
    if not run(venv / "bin/python", "-m", "pip", "install", "--quiet", "pip>=25.1"):
        raise SetupError("pip could not reach the package index (see above)")


def pip_install(venv: Path, *arguments: str) -> bool:
    return run(
        venv / "bin/python",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar=off",
        "-q",
        *arguments,
    )


def requirements() -> str:
    """The part of pyproject.toml that decides what is installed: all before the tools' own tables."""
    return (ROOT / "pyproject.toml").read_text().partition("[tool.")[0]


def install_product() -> None:
    """vivavoz itself, editable, with its engines and what the application may be configured to need."""
    want = digest(requirements(), EXTRAS, platform.machine())
    if fault(VENV) is None and stamps(VENV).get("run") == want and (VENV / "bin/vivavoz").exists():
        return
    make_venv(VENV)
    set_stamp(VENV, "run", None)
    started = time.monotonic()
    say("installing vivavoz and its engines (about 250 MB the first time)")
    if not pip_install(VENV, "-e", f".[embedded,{EXTRAS}]"):
        say("the embedded engines do not install here; trying without them")
        if not pip_install(VENV, "-e", f".[{EXTRAS}]"):
            if run(VENV / "bin/vivavoz", "--version", quiet=True):
                say("nothing could be installed now (see above); going on with what .venv holds")
                return
            raise SetupError(
                "pip could not install vivavoz (see above). If .venv looks wrong: rm -rf .venv, and again"
            )
        say("vivavoz is installed WITHOUT the embedded engines: use --engines scripted, or remote ones")
        return
    set_stamp(VENV, "run", want)
    say(f"vivavoz is installed in .venv ({time.monotonic() - started:.0f} s)")


# -------------------------------------------------------------------------------------------------- tests


def install_groups() -> None:
    want = digest(requirements())
    if stamps(VENV).get("test") == want:
        return
    say("installing the test tools, and the engines of more languages")
    groups = ("--group", "check", "--group", "test")
    if not pip_install(VENV, "-e", ".[multilingual]", *groups) and not pip_install(VENV, *groups):
        raise SetupError("pip could not install the test tools (see above)")
    set_stamp(VENV, "test", want)


def install_chromium() -> None:
    named = os.environ.get("VIVAVOZ_CHROMIUM")
    if named:
        if shutil.which(named) is None:
            raise SetupError(f"VIVAVOZ_CHROMIUM names {named}, which is no program")
        return
    if not any(shutil.which(name) for name in CHROMIUM_NAMES) and not apt_install(
        "chromium", "the browser tests"
    ):
        say("without Chromium the browser tests are skipped")


def install_iproute() -> None:
    """The tests in network namespaces need root as well, so that nobody else misses it."""
    if os.geteuid() == 0 and shutil.which("ip") is None and not apt_install("iproute2", "the network tests"):
        say("without the command ip the network tests are skipped")


def install_foreign_python(name: str, requirements: Path) -> None:
    """One Python client of other people's, pinned, in an environment of its own. Raises SetupError."""
    venv = ROOT / f".venv-{name}"
    want = digest(requirements)
    if stamps(venv).get("test") == want and fault(venv) is None:
        return
    make_venv(venv)
    set_stamp(venv, "test", None)
    say(f"installing the {name} client for the conformance tests")
    if not pip_install(venv, "-r", str(requirements)):
        raise SetupError(f"pip could not install the {name} client (see above)")
    set_stamp(venv, "test", want)


def install_foreign_pythons() -> None:
    """The official SDK, which must be there, and what builds on it, whose tests are skipped without it."""
    for name, listed in FOREIGN_CLIENTS.items():
        try:
            install_foreign_python(name, FOREIGN_PYTHON / listed)
        except SetupError as error:
            if name == "openai":
                raise
            shutil.rmtree(ROOT / f".venv-{name}", ignore_errors=True)
            say(f"{error}; without it its test is skipped")


def install_foreign_js() -> None:
    """The official JavaScript clients, pinned by their lock file, in a folder of their own."""
    lock = FOREIGN_JS / "package-lock.json"
    if not lock.exists():
        return
    want = digest(lock)
    done = FOREIGN_JS / "node_modules" / STAMP
    if done.exists() and done.read_text() == want:
        return
    if shutil.which("npm") is None and not apt_install(
        "npm", "the JavaScript clients of the conformance tests"
    ):
        say("without Node.js the JavaScript clients' tests are skipped")
        return
    say("installing the official JavaScript clients for the conformance tests")
    if not run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=FOREIGN_JS):
        raise SetupError("npm could not install the JavaScript clients (see above)")
    done.write_text(want)


# --------------------------------------------------------------------------------------------------- main


def main(arguments: list[str]) -> int:
    what = arguments[0] if arguments else "run"
    if what not in {"run", "test"}:
        print("usage: setup.py run|test", file=sys.stderr)
        return 2
    # One set-up at a time in one checkout: the folder itself is the lock.
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        install_product()
        if what == "test":
            install_groups()
            install_chromium()
            install_iproute()
            install_foreign_pythons()
            install_foreign_js()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        os.close(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
