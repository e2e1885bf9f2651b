"""What the documentation promises: links lead somewhere, and code that is marked to run runs.

The word after a fence's language marks it: `python runs` and `sh runs` are run against a service, and
`toml config` is a configuration file that loads.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running, vivavoz
from vivavoz.config import load

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / ".venv-openai/bin/python"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
FENCE = re.compile(r"^```(\w+) (runs|config)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The headings of a page, as the usual renderers name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


MARKED = [
    pytest.param(*fence, id=f"{named(page)}-{number}")
    for page in PAGES
    for number, fence in enumerate(FENCE.findall(page.read_text()), 1)
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with vivavoz(tmp_path_factory.mktemp("docs")) as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    dead = []
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_is_reachable_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
        todo += [(page.parent / link).resolve() for link in links if link]
    lost = [named(page) for page in ROOT.glob("docs/*.md") if page not in seen]
    assert lost == []


@pytest.mark.parametrize(("language", "mark", "code"), MARKED)
def test_marked_code_works(
    language: str, mark: str, code: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if (language, mark) == ("toml", "config"):
        file = tmp_path / "vivavoz.toml"
        file.write_text(code)
        config = load(file, environment={})
        for name in config.engines:
            config.engine_set(name)
        return
    if language == "python" and not SDK.exists():
        pytest.skip("the SDK's environment is missing: make test")
    service: Running = request.getfixturevalue("service")
    code = code.replace("127.0.0.1:8080", f"127.0.0.1:{service.port}")
    command: list[str | Path] = {"python": [SDK, "-c"], "sh": ["sh", "-euc"]}[language]
    done = subprocess.run(
        [*command, code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert '"error"' not in done.stdout
