"""The figures of ``bench/out/peers.json`` for readers: ``python -m bench.plots`` writes
``docs/images/bench-*.svg`` (plain SVG, legible on light and on dark) and the tables in docs/benchmarks.md."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from bench.peers.tables import markdown
from bench.rig import OUT, percentile

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PAGE = IMAGES.parent / "benchmarks.md"
_BEGIN, _END = "<!-- peers: written by python -m bench.plots -->", "<!-- peers: to here -->"
_WIDTH = 640
_BAR, _GAP, _LEFT, _RIGHT, _TOP = 22, 10, 90, 90, 46
_COLOURS = {"vivavoz": "#2f81f7", "aiortc": "#c98500", "pipecat": "#c2528b", "wrtc": "#2da44e"}
_OTHER = "#8b949e"
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.s{font-size:11px;fill:#57606a}"
    ".a{stroke:#8b949e;stroke-width:1}.w{stroke:#24292f;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9da7b3}.w{stroke:#e6edf3}}"
)


class Bar(msgspec.Struct, frozen=True):
    """A value, and the least and most of it."""

    name: str
    value: float
    least: float
    most: float


class Line(msgspec.Struct, frozen=True):
    name: str
    points: Sequence[tuple[float, float]]


def main() -> None:
    figures = json.loads((OUT / "peers.json").read_text())
    IMAGES.mkdir(exist_ok=True)
    for name, svg in pictures(figures).items():
        (IMAGES / f"bench-{name}.svg").write_text(svg)
        print(f"docs/images/bench-{name}.svg")
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SystemExit(f"{PAGE} has no place for the tables: {_BEGIN} ... {_END}")
    PAGE.write_text(f"{before}{_BEGIN}\n\n{markdown(figures)}\n\n{_END}{after}")
    print("docs/benchmarks.md")


def pictures(figures: Mapping[str, Any]) -> dict[str, str]:
    """By name."""
    cost, echo = figures["cost"], figures["echo"]
    cpu = {name: [each["8 media"]["cpu_call"] for each in rounds] for name, rounds in cost.items() if rounds}
    memory = {name: [each["mb_call"] for each in rounds] for name, rounds in cost.items() if rounds}
    ramps = [
        Line(name, [(step["calls"], step["pace_p99_ms"]) for step in each["steps"]])
        for name, each in figures["ramp"].items()
    ]
    return {
        "cpu": bars("CPU of a call, 8 calls, media both ways (% of a core)", middles(cpu)),
        "memory": bars("Memory of a call, 8 to 24 calls (MB)", middles(memory)),
        "echo": bars("Delay through the server, no loss (ms)", middles(of(echo, "clean"), tail=True)),
        "loss": bars("Delay through the server, 2 % loss (ms)", middles(of(echo, "lossy"), tail=True)),
        "hole": bars("Hole after one lost packet (ms)", middles(of(echo, "hole"))),
        "setup": bars("Offer to first packet of sound (ms)", middles(of(figures["setup"], "rtp"))),
        "pace": lines("Unevenness of packets against calls on one core, p99 (ms)", ramps, limit=10.0),
    }


def of(figures: Mapping[str, Any], key: str) -> dict[str, list[float]]:
    return {name: each[key] for name, each in figures.items()}


def middles(found: Mapping[str, Sequence[float]], *, tail: bool = False) -> list[Bar]:
    """Medians, with least and most; with p10 and p90 for a ``tail``."""
    return [
        Bar(
            name,
            statistics.median(each),
            percentile(each, 10) if tail else min(each),
            percentile(each, 90) if tail else max(each),
        )
        for name, each in found.items()
    ]


def bars(title: str, each: Sequence[Bar]) -> str:
    """Horizontal ones; a whisker is the spread."""
    most = max((bar.most for bar in each), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts = []
    for n, bar in enumerate(each):
        top = _TOP + n * (_BAR + _GAP)
        middle, end = top + _BAR / 2, _LEFT + bar.value * scale
        low, high = _LEFT + bar.least * scale, _LEFT + bar.most * scale
        colour = _COLOURS.get(bar.name, _OTHER)
        parts += [
            f'<text x="{_LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{end - _LEFT:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>',
            f'<line class="w" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>',
            f'<text x="{max(end, high) + 8:.1f}" y="{middle + 4:.1f}">{_number(bar.value)}</text>',
        ]
    return _svg(title, _TOP + len(each) * (_BAR + _GAP) + 6, parts)


def lines(title: str, each: Sequence[Line], *, limit: float) -> str:
    """One a server, over calls; the vertical scale is logarithmic, ``limit`` is drawn in."""
    points = [point for line in each for point in line.points if point[1] > 0]
    right = max((calls for calls, _ in points), default=1)
    low = math.floor(math.log10(min((ms for _, ms in points), default=1.0)))
    high = math.ceil(math.log10(max(limit * 1.1, *(ms for _, ms in points), 1.0)))
    left, top, width, height = 60, _TOP, _WIDTH - 160, 230

    def x(calls: float) -> float:
        return left + calls / right * width

    def y(ms: float) -> float:
        return top + height - (math.log10(ms) - low) / (high - low) * height

    parts = []
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(
            f'<line class="a" stroke-opacity=".35" x1="{left}" y1="{at:.1f}" x2="{left + width}" '
            f'y2="{at:.1f}"/>'
        )
        parts.append(
            f'<text class="s" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    parts += [
        f'<text class="s" x="{x(calls):.1f}" y="{top + height + 18}" text-anchor="middle">{calls}</text>'
        for calls in range(0, int(right) + 1, 10)
    ]
    parts.append(
        f'<line class="w" stroke-dasharray="5 4" x1="{left}" y1="{y(limit):.1f}" '
        f'x2="{left + width}" y2="{y(limit):.1f}"/>'
    )
    for n, line in enumerate(each):
        colour = _COLOURS.get(line.name, _OTHER)
        at_points = [(x(calls), y(ms)) for calls, ms in line.points if ms > 0]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in at_points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in at_points]
        legend = top + 10 + 20 * n
        parts.append(
            f'<rect x="{left + width + 14}" y="{legend - 9}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(f'<text x="{left + width + 30}" y="{legend}">{escape(line.name)}</text>')
    return _svg(title, top + height + 30, parts)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 5 else f"{value:.2f}"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n'
        f'<text class="t" x="12" y="24">{escape(title)}</text>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
