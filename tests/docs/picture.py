"""Draw docs/architecture.svg, and the table below it, from the rules that tests/test_import_graph.py enforces.

    python -m tests.docs.picture    writes both anew

An arrow points from a part to one that it may import. Arrows that follow from others are left out of the picture, and
stand in the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.test_import_graph import CUSTOM_PPO, HARNESS

__all__ = ["PAGE", "PICTURE", "Graph", "arrows_of_svg", "graphs", "page_with_table", "reduced", "svg"]

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = DOCS / "architecture.svg"
PAGE = DOCS / "architecture.md"
BEGIN, END = "<!-- begin: who may import whom -->", "<!-- end: who may import whom -->"

EVERYWHERE = "errors"
"""Part that nearly all others import; its arrows would hide the others."""

HEIGHT, GAP, ROW, MARGIN = 24, 14, 58, 18

Arrows = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Graph:
    """One panel of the picture."""

    title: str
    arrows: Arrows
    """Name of a part to the parts that it may import."""
    prefix: str = ""
    """Beginning of a part's dotted name that its box leaves out."""


def graphs() -> tuple[Graph, ...]:
    """Return the panels: the algorithm, the harness by packages, and the inside of the cross-check."""
    return (
        Graph("custom_ppo", {name: frozenset(used - {name}) for name, used in CUSTOM_PPO.items()}),
        Graph("harness", _packages(HARNESS)),
        Graph("harness.crosscheck", _inside("crosscheck", HARNESS), "crosscheck."),
    )


def _packages(areas: Mapping[str, set[str]]) -> Arrows:
    """Arrows between whole packages; two areas of one package are one part."""
    found: dict[str, set[str]] = {}
    for area, used in areas.items():
        package = area.split(".")[0]
        found.setdefault(package, set()).update(name.split(".")[0] for name in used)
    return {
        package: frozenset(used - {package, EVERYWHERE}) for package, used in found.items() if package != EVERYWHERE
    }


def _inside(package: str, areas: Mapping[str, set[str]]) -> Arrows:
    parts = [area for area in areas if area.startswith(f"{package}.")]
    return {part: frozenset(areas[part].intersection(parts)) for part in parts} | {
        package: frozenset(areas[package].intersection(parts))
    }


def reduced(arrows: Arrows) -> Arrows:
    """Return the arrows without those that follow from a longer way."""

    def reached(part: str) -> set[str]:
        return set().union(*({used} | reached(used) for used in arrows[part]))

    return {
        part: frozenset(
            used for used in targets if not any(used in reached(other) for other in targets if other != used)
        )
        for part, targets in arrows.items()
    }


def _ways(arrows: Arrows) -> tuple[list[list[str]], dict[tuple[str, str], list[str]]]:
    """Parts in rows, each above all that it imports, and the way of every arrow through the rows between its ends.

    An arrow over several rows has a point of its own in each, so that no box lies on it.
    """
    height: dict[str, int] = {}

    def measured(part: str) -> int:
        if part not in height:
            height[part] = 1 + max(map(measured, arrows[part]), default=-1)
        return height[part]

    top = max(map(measured, sorted(arrows)))
    ways = {
        (part, used): [part, *(f"{part}>{used}>{level}" for level in range(height[part] - 1, height[used], -1)), used]
        for part, targets in arrows.items()
        for used in sorted(targets)
    }
    for way in ways.values():
        height |= {point: int(point.rpartition(">")[2]) for point in way[1:-1]}
    neighbours: dict[str, list[str]] = {point: [] for point in height}
    for way in ways.values():
        for one, next_one in pairwise(way):
            neighbours[one].append(next_one)
            neighbours[next_one].append(one)
    rows = [sorted(point for point in height if height[point] == level) for level in range(top, -1, -1)]
    for _ in range(8):  # sweeps by the mean position of neighbours untangle most crossings
        for row in rows:
            position = {point: (index + 0.5) / len(line) for line in rows for index, point in enumerate(line)}
            mean = {
                point: sum(position[other] for other in neighbours[point]) / max(len(neighbours[point]), 1)
                for point in row
            }
            row.sort(key=lambda point: (mean[point], point))
    return rows, ways


STYLE = """
  text { font: 12px sans-serif; text-anchor: middle; fill: #1b2733; }
  .title { font: bold 14px sans-serif; }
  .panel { fill: #f5f7fa; stroke: #c5cdd8; }
  .part { fill: #fff; stroke: #46618a; }
  .arrow { fill: none; stroke: #7488a5; marker-end: url(#head); }
  .head { fill: #7488a5; }
""".strip("\n")


def svg(panels: Sequence[Graph]) -> str:
    """Return the picture as SVG, which needs no font or script from elsewhere."""
    width, drawn, height = MARGIN, [], 0
    for panel in panels:
        text, size = _panel(panel, width)
        drawn.append(text)
        width += size[0] + MARGIN
        height = max(height, size[1])
    names = " and ".join(panel.title for panel in panels)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 2 * MARGIN}" role="img"'
            f' aria-label="Who may import whom in {names}">',
            f"<style>\n{STYLE}\n</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto">'
            '<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
            *drawn,
            "</svg>",
            "",
        ]
    )


def _panel(panel: Graph, left: float) -> tuple[str, tuple[float, float]]:
    arrows = reduced(panel.arrows)
    rows, ways = _ways(arrows)

    def box(point: str) -> float:
        """Width of a box, with room for its name; a point on a way has none."""
        return max(72, 7 * len(point.removeprefix(panel.prefix)) + 16) if point in arrows else 0

    def width(points: Sequence[str]) -> float:
        return sum(box(point) + GAP for point in points) - GAP

    inner = max(map(width, rows))
    size = (inner + 2 * MARGIN, len(rows) * ROW + 34)
    place = {}
    for level, row in enumerate(rows):
        start = left + MARGIN + (inner - width(row)) / 2
        for index, point in enumerate(row):
            place[point] = (start + width(row[:index]) + GAP + box(point) / 2, MARGIN + 40 + level * ROW)
    lines = [
        f'<rect class="panel" x="{left:g}" y="{MARGIN}" width="{size[0]:g}" height="{size[1]:g}" rx="8"/>',
        f'<text class="title" x="{left + size[0] / 2:g}" y="{MARGIN + 20}">{panel.title}</text>',
    ]
    for (part, used), way in ways.items():
        curve = f"M{place[part][0]:g},{place[part][1] + HEIGHT:g}"
        for one, next_one in pairwise(way):
            (x1, y1), (x2, y2) = place[one], place[next_one]
            bend = (y2 - y1 - HEIGHT) / 2
            y1 += HEIGHT
            curve += f" L{x1:g},{y1:g} C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2:g}"
        lines.append(f'<path class="arrow" data-from="{part}" data-to="{used}" d="{curve}"/>')
    for part in arrows:
        x, y = place[part]
        name = part.removeprefix(panel.prefix)
        lines.append(
            f'<rect class="part" x="{x - box(part) / 2:g}" y="{y:g}" width="{box(part)}" height="{HEIGHT}" rx="4"/>'
        )
        lines.append(f'<text x="{x:g}" y="{y + 16:g}">{name}</text>')
    return f'<g data-panel="{panel.title}">\n' + "\n".join(lines) + "\n</g>", size


def arrows_of_svg(text: str, panel: str) -> dict[str, set[str]]:
    """Return the arrows that a panel of a picture shows: from a part to those that it points to."""
    (drawn,) = re.findall(rf'<g data-panel="{re.escape(panel)}">(.*?)</g>', text, re.DOTALL)
    found: dict[str, set[str]] = {}
    for part, used in re.findall(r'data-from="([^"]+)" data-to="([^"]+)"', drawn):
        found.setdefault(part, set()).add(used)
    return found


def page_with_table(page: str) -> str:
    """Return the page with the table between its two marks made anew."""
    lines = ["", "| part | may import |", "|---|---|"]
    for package, rules in (("custom_ppo", CUSTOM_PPO), ("harness", HARNESS)):
        for part, used in rules.items():
            names = ", ".join(f"`{name}`" for name in sorted(used - {part})) or "nothing"
            lines.append(f"| `{package}.{part}` | {names} |")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(lines) + "\n\n" + END + after


def main() -> None:
    """Write the picture and the table."""
    PICTURE.write_text(svg(graphs()), encoding="utf-8")
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
