"""The wheel carries all that the service needs, and nothing that only its makers need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        ROOT,
    ]
    subprocess.run([sys.executable, *build], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_it_holds_every_file_of_the_package_and_the_licence(wheel: Path) -> None:
    source = ROOT / "src"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/vivavoz"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    wanted = {(ROOT / name).relative_to(source).as_posix() for name in tracked if (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if name.startswith("vivavoz/")}
    assert "vivavoz/app/web/index.html" in packaged
    assert wanted <= packaged
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"vivavoz"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_runs_from_where_it_was_unpacked(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        "import vivavoz, vivavoz.cli, vivavoz.app.page as page;"
        "assert (page.web_root() / 'app.js').is_file();"
        "print(vivavoz.__file__); vivavoz.cli.main(['serve', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(tmp_path)), done.stderr
    assert "--engines" in done.stdout
