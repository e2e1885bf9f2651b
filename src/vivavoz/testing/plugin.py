"""The pytest plugin: the fixture ``vivavoz``, and the marker that configures it (docs/testing-your-app.md).

Loaded by every pytest run where vivavoz is installed, so everything heavy waits for the first test that asks
for the fixture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vivavoz.testing.service import Vivavoz

_MARKER = "vivavoz"
_HELP = (
    "vivavoz(script=None, *, faults=None, time='virtual', deterministic=True, event_log=None): "
    "how the fixture `vivavoz` runs its service"
)
_OPTIONS = ("script", "faults", "time", "deterministic", "event_log")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _HELP)


@pytest.fixture
def vivavoz(request: pytest.FixtureRequest) -> Iterator[Vivavoz]:
    """A Realtime service of this test's own, on loopback, that answers from a script.

    ``@pytest.mark.vivavoz(script=..., faults=...)`` configures it; of several, the one nearest to the test
    wins, option by option.
    """
    from vivavoz.engines.scripted import ScriptError
    from vivavoz.testing.service import running

    with contextlib.ExitStack() as stack:
        broken = ""
        try:
            service = stack.enter_context(running(**_options(request.node)))
        except ScriptError as error:
            broken = str(error)
        if broken:
            # The sentence says all; where in vivavoz it was raised is of no use to anybody.
            pytest.fail(f"the script of the fixture vivavoz: {broken}", pytrace=False)
        yield service


def _options(node: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers(_MARKER))):
        if len(marker.args) > 1:
            pytest.fail("the marker vivavoz takes one argument, the script", pytrace=False)
        given = dict(zip(("script",), marker.args, strict=False)) | marker.kwargs
        for name in given:
            if name not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                pytest.fail(f"the marker vivavoz has no {name!r}; it has {known}", pytrace=False)
        options |= given
    return options
