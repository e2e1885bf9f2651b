"""``vivavoz bench`` as it is typed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from measuring.fake import Fake
from vivavoz.cli import main
from vivavoz.measuring.command import bench_command

KEY = "sk-not-to-be-seen"


async def bench(*arguments: str, key: str = KEY, stop_at: str = "") -> tuple[int, str, str]:
    """Run it in a process: exit code, output, progress. Interrupted where the progress says ``stop_at``."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("vivavoz")),
        "bench",
        *arguments,
        env={"OPENAI_API_KEY": key, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    progress = ""
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            progress += line
            if stop_at and stop_at in line:
                process.send_signal(signal.SIGINT)
        output = (await process.stdout.read()).decode()
        return await process.wait(), output, progress


async def test_interrupted_it_shows_and_writes_what_was_measured(tmp_path: Path) -> None:
    fake = Fake(key=KEY)
    figures = tmp_path / "figures.json"
    async with fake.served():
        code, output, progress = await bench(
            fake.url, "--quick", "--voice", "scripted", "--json", str(figures), stop_at="websocket: turns"
        )
    assert code == 130
    assert "connect -> session.created" in output
    assert "interrupted" in output
    assert "Traceback" not in progress
    assert json.loads(figures.read_text())["websocket"]["setup_ms"]["connect"]["n"] == 2
    assert KEY not in output + progress + figures.read_text()
    assert "key of OPENAI_API_KEY" in progress


async def test_nothing_measured_is_a_failure_that_says_why() -> None:
    fake = Fake(key="another")
    async with fake.served():
        code, output, progress = await bench(fake.url, "--voice", "scripted")
    assert code == 1
    assert output.count("401: the key is missing or wrong") == 2
    assert KEY not in output + progress


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://host"], "expected a URL"),
        (["http://8.8.8.8"], "--yes-remote"),
        (
            ["http://127.0.0.1:9", "--key-file", "/does/not/exist"],
            "--key-file /does/not/exist: cannot be read",
        ),
        (["http://127.0.0.1:9", "--wav", "/does/not/exist.wav"], "not a WAV file"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIVAVOZ_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert bench_command(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_key_of_two_lines_is_refused_without_showing_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\nsecond")
    assert bench_command(["http://127.0.0.1:9", "--key-file", str(file)]) == 2
    shown = capsys.readouterr()
    assert "one line of visible ASCII" in shown.err
    assert KEY not in shown.err + shown.out


@pytest.mark.parametrize(
    "wrong", [["--calls", "0"], ["--seconds", "500"], ["--turns", "many"], ["--transport", "x"]]
)
def test_numbers_have_limits(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_command(["http://127.0.0.1:9", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_it_is_a_command_of_vivavoz(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["bench", "--help"])
    assert "voice to voice" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "bench" in capsys.readouterr().out
