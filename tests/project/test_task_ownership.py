"""The lint that bans tasks without an owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import lint_tasks


@pytest.mark.parametrize(
    "line",
    [
        "asyncio.create_task(work())",
        "asyncio.ensure_future(work())",
        "loop.create_task(work())",
        "self._loop.create_task(work())",
        "asyncio.get_running_loop().create_task(work())",
        "create_task(work())",
    ],
)
def test_a_bare_task_is_found(line: str) -> None:
    assert list(lint_tasks.bare_tasks(f"x = 1\n{line}\n")) == [2]


@pytest.mark.parametrize(
    "line", ["group.create_task(work())", "self._tasks.create_task(work())", "run(work())"]
)
def test_a_task_of_a_group_is_not(line: str) -> None:
    assert list(lint_tasks.bare_tasks(line)) == []


def test_the_file_list_is_kept_honest(tmp_path: Path) -> None:
    (tmp_path / "call").mkdir()
    (tmp_path / "call/jobs.py").write_text("asyncio.create_task(x())\n")
    (tmp_path / "owner.py").write_text("asyncio.create_task(x())\n")
    (tmp_path / "leak.py").write_text("asyncio.create_task(x())\n")

    found = lint_tasks.findings(tmp_path, {"owner.py": "keeps them", "gone.py": "was deleted"})

    assert len(found) == 2
    assert "leak.py:1" in found[0]
    assert "gone.py is listed" in found[1]


def test_the_project_passes() -> None:
    assert lint_tasks.findings(lint_tasks.SOURCE, lint_tasks.OWNERS) == []
