"""Panels as a picture: axes, lines and a legend, in the places the dashboard gives them."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

WIDTH = 1200
"""Of the picture. Its height follows from the panels."""

COLUMNS, ROW = 24, 27
"""Columns of the grid a dashboard has, and how high one of its rows is drawn."""

COLOURS = ["#3274d9", "#56a64b", "#e02f44", "#ff9830", "#8f3bb8", "#00a3a3", "#b87333", "#777777"]
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM = 54, 28, 26
LINE = 13
"""How high a line of the legend is."""


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    name: str
    points: list[tuple[float, float]]


def legend(target: dict, labels: dict[str, str]) -> str:
    """The name of a series, by the pattern of the panel."""
    pattern = target.get("legendFormat") or ""
    named = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), pattern)
    return (
        named
        or ", ".join(f"{key}={value}" for key, value in labels.items() if key != "__name__")
        or target["expr"]
    )


def svg(panels: list[tuple[dict, list[Series]]]) -> str:
    """The whole picture."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)
    parts = [part for panel, series in panels for part in draw(panel, series)]
    size = f'width="{WIDTH}" height="{rows * ROW}" viewBox="0 0 {WIDTH} {rows * ROW}"'
    style = "text{font:10px sans-serif;fill:#444}.t{font-weight:bold;font-size:12px;fill:#222}path{fill:none}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'
    background = f'<rect width="{WIDTH}" height="{rows * ROW}" fill="#f4f5f5"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


def draw(panel: dict, series: list[Series]) -> Iterator[str]:
    """One panel."""
    place = panel["gridPos"]
    left, top = place["x"] * WIDTH / COLUMNS + 4, place["y"] * ROW + 4
    wide, high = place["w"] * WIDTH / COLUMNS - 8, place["h"] * ROW - 8
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    yield f'<rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}" rx="3" fill="#fff" stroke="#ddd"/>'
    yield f'<text class="t" x="{left + 8:g}" y="{top + 17:g}">{escape(panel["title"])}</text>'
    series = [
        Series(one.name, [point for point in one.points if math.isfinite(point[1])])
        for one in series
    ]
    series = [one for one in series if one.points]
    if not series:
        yield f'<text x="{left + wide / 2:g}" y="{top + high / 2:g}" text-anchor="middle">No data</text>'
        return
    rows = math.ceil(len(series) / 2)
    area = (
        left + MARGIN_LEFT,
        top + MARGIN_TOP,
        wide - MARGIN_LEFT - 10,
        high - MARGIN_TOP - MARGIN_BOTTOM - rows * LINE - 4,
    )
    yield from plot(area, series, unit)
    for index, one in enumerate(series):
        x = left + 10 + (index % 2) * (wide / 2)
        y = top + high - rows * LINE + (index // 2) * LINE
        yield f'<rect x="{x:g}" y="{y - 7:g}" width="10" height="3" fill="{COLOURS[index % len(COLOURS)]}"/>'
        last = amount(one.points[-1][1], unit)
        yield f'<text x="{x + 14:g}" y="{y:g}">{escape(one.name)}: {last}</text>'


def plot(area: tuple[float, float, float, float], series: list[Series], unit: str) -> Iterator[str]:
    """The axes and the lines."""
    left, top, wide, high = area
    longest = max(at for one in series for at, _ in one.points) or 1.0
    most = nice(max(value for one in series for _, value in one.points), unit)
    for step in range(5):
        value = most * step / 4
        y = top + high - high * step / 4
        yield f'<path d="M{left:.0f} {y:.1f}h{wide:.0f}" stroke="#eee"/>'
        yield f'<text x="{left - 4:.0f}" y="{y + 3:.1f}" text-anchor="end">{amount(value, unit)}</text>'
    for step in range(5):
        x = left + wide * step / 4
        minutes = longest * step / 4 / 60
        anchor = "end" if step == 4 else "middle"
        yield f'<text x="{x:.0f}" y="{top + high + 13:.0f}" text-anchor="{anchor}">{minutes:.3g} min</text>'
    for index, one in enumerate(series):
        points = [
            (left + wide * at / longest, top + high - high * value / most)
            for at, value in one.points
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        colour = COLOURS[index % len(COLOURS)]
        yield f'<path d="M{path}" stroke="{colour}" stroke-width="1.5" stroke-linejoin="round"/>'


def nice(most: float, unit: str) -> float:
    """The next round number above."""
    if most <= 0:
        return 1.0
    if unit == "bytes":
        return 2.0 ** math.ceil(math.log2(most))
    power = 10 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= most * 0.999)


def amount(value: float, unit: str) -> str:
    """A value in its unit, short."""
    match unit:
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "s" if value < 1:
            return f"{value * 1000:.3g} ms"
        case "s":
            return f"{value:.3g} s"
        case "bytes":
            for name, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
                if value >= size:
                    return f"{value / size:.3g} {name}"
            return f"{value:.3g} B"
        case "reqps":
            return f"{value:.3g} req/s"
        case "ops":
            return f"{value:.3g}/s"
    return f"{value:.4g}"
