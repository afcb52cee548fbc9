"""Line charts as SVG text: axes with round numbers, lines, steps and dots, values on hover without a script.

Holds the drawing of one chart; `dashboard` puts charts on a page. Sizes are in pixels of the chart. A point at `(x, y)`
is drawn at `((x - x0) / (x1 - x0) width, (y1 - y) / (y1 - y0) height)`, with `log10 y` for `y` on a log scale. Colours
of axes and text come from the page's CSS variables `--line`, `--soft` and `--accent`.

Shapes: a line is two vectors `(m,)`; values that are not finite break it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

_Vector = npt.NDArray[np.float64]

_LARGEST = 1e300  # differences of numbers up to here are finite
_CHARACTER = 6.7  # width of a digit of a tick label
_TOP, _RIGHT, _BOTTOM = 8.0, 14.0, 24.0
_TITLE = 15.0  # more room below where the horizontal axis has a name
_MINUS = "\u2212"  # of the width of a digit


@dataclass(frozen=True)
class Line:
    """Points that are drawn together.

    Attributes:
        x: horizontal places, (m,), ascending.
        y: values, (m,).
        colour: of CSS.
        kind: a line, steps that keep a value until the next point, or dots.
    """

    x: _Vector
    y: _Vector
    colour: str
    kind: Literal["line", "step", "dots"] = "line"


@dataclass(frozen=True)
class Scale:
    """The vertical scale: its ends, and whether it is logarithmic (then both are positive)."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class _Frame:
    """The region of a chart in which lines are drawn, and what its edges stand for."""

    left: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool

    def across(self, x: _Vector) -> _Vector:
        return (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width

    def down(self, y: _Vector) -> _Vector:
        if self.log:
            # What has no logarithm lies below the region.
            y = np.log10(np.where(y > 0, y, 10.0 ** (self.y[0] - 1)))
        share = (self.y[1] - np.clip(y, -_LARGEST, _LARGEST)) / (self.y[1] - self.y[0])
        return np.clip(share, -1.0, 2.0) * self.height


def chart(
    lines: Sequence[Line],
    *,
    name: str,
    width: int,
    height: int,
    scale: Scale | None = None,
    x_label: str = "",
    mark: float | None = None,
    hover: Sequence[tuple[float, str]] = (),
) -> str:
    """A line chart as an `<svg>` element.

    Args:
        lines: what to draw, the first at the back.
        name: what the chart shows, for readers that cannot see it.
        width: of the whole chart.
        height: of the whole chart.
        scale: vertical scale; by default linear over all finite values.
        x_label: name of the horizontal axis.
        mark: where to draw a dotted vertical line.
        hover: horizontal place -> text that shows while the pointer is nearest to it, ascending.
    """
    scale = scale or _scale_of(lines)
    y = (math.log10(scale.low), math.log10(scale.high)) if scale.log else (scale.low, scale.high)
    low, high = _padded(*y, share=0.05)
    y_ticks = _log_ticks(low, high) if scale.log else _ticks(low, high, 5)
    left = 10 + _CHARACTER * max((len(text) for _, text in y_ticks), default=1)
    bottom = _BOTTOM + (_TITLE if x_label else 0.0)
    ends = [float(end) for line in lines if line.x.size for end in (line.x[0], line.x[-1])]
    x = _padded(min(ends, default=0.0), max(ends, default=0.0), share=0.0, least=1.0)
    frame = _Frame(left, width - left - _RIGHT, height - _TOP - bottom, x, (low, high), scale.log)
    within = [*(_drawn(line, frame) for line in lines), *_bands(hover, frame)]
    if mark is not None:
        at = float(frame.across(np.array([mark]))[0])
        within.insert(0, f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{frame.height:.1f}"/>')
    # A nested svg cuts off what leaves the region, and needs no name for that as a clip path would.
    region = (
        f'<svg x="{left:.1f}" y="{_TOP}" width="{frame.width:.1f}" height="{frame.height:.1f}">{"".join(within)}</svg>'
    )
    label = (
        f'<text class="axis" x="{left + frame.width / 2:.1f}" y="{height - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        if x_label
        else ""
    )
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f"{_axes(frame, y_ticks)}{label}{region}</svg>"
    )


def _scale_of(lines: Sequence[Line]) -> Scale:
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines] or [np.zeros(0)])
    values = np.clip(values, -_LARGEST, _LARGEST)
    return Scale(float(values.min()), float(values.max())) if values.size else Scale(0.0, 1.0)


def _padded(low: float, high: float, *, share: float, least: float | None = None) -> tuple[float, float]:
    """An interval with some room at both ends, and of some width where it has none."""
    low, high = max(low, -_LARGEST), min(high, _LARGEST)
    size = max(abs(low), abs(high))
    if high - low <= 1e-12 * size or high == low:
        room = 0.05 * size or 1.0
        return (low - room, high + room) if least is None else (low, low + least)
    room = share * (high - low)
    return low - room, high + room


def _axes(frame: _Frame, y_ticks: Sequence[tuple[float, str]]) -> str:
    parts = []
    right, floor = frame.left + frame.width, _TOP + frame.height
    for place, text in y_ticks:
        at = _TOP + (frame.y[1] - place) / (frame.y[1] - frame.y[0]) * frame.height
        parts.append(f'<line class="grid" x1="{frame.left:.1f}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{frame.left - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    for place, text in _ticks(*frame.x, max(2, round(frame.width / 90)), whole=True):
        at = frame.left + float(frame.across(np.array([place]))[0])
        parts.append(f'<text x="{at:.1f}" y="{floor + 17:.1f}" text-anchor="middle">{text}</text>')
    parts.append(f'<line class="base" x1="{frame.left:.1f}" x2="{right:.1f}" y1="{floor:.1f}" y2="{floor:.1f}"/>')
    return "".join(parts)


def _ticks(low: float, high: float, wanted: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """Round numbers between two ends, about as many as wanted, and their texts."""
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = [number * step for number in range(first, last + 1)]
    largest = max((abs(place) for place in places), default=0.0)
    # As many digits as tell neighbours apart.
    digits = 1 if largest == 0 else math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9) + 1
    return [(place, _number(place, min(max(digits, 1), 15))) for place in places]


def _number(value: float, digits: int) -> str:
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        text = f"{value:.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        decimals = max(0, digits - 1 - (math.floor(math.log10(abs(value))) if value else 0))
        text = f"{value:.{min(decimals, 15)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", _MINUS)


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten, of which every second, third, ... where there are many; 2 and 5 between them where few."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 6))
    places = [(float(power), f"1e{power}" if not -4 <= power <= 5 else f"{10.0**power:g}")
              for power in range(first, last + 1, step)]  # fmt: skip
    if len(places) < 3:
        between = [(power + math.log10(factor), factor * 10.0**power) for power in range(first - 1, last + 1)
                   for factor in (2, 5)]  # fmt: skip
        places += [(place, f"{value:.3g}") for place, value in between if low <= place <= high]
    return [(place, text.replace("-", _MINUS)) for place, text in sorted(places)]


def _drawn(line: Line, frame: _Frame) -> str:
    known = np.isfinite(line.y)
    if not known.any():
        return ""
    x, y = frame.across(line.x[known]), frame.down(line.y[known])
    if line.kind == "dots":
        # One path of points without length, which round caps make visible: much shorter than as many circles.
        return f'<path class="dots" stroke="{line.colour}" d="{"".join(_places("M", x, y, "h0"))}"/>'
    breaks = np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1
    path = "".join(
        _segment(part_x, part_y, step=line.kind == "step")
        for part_x, part_y in zip(np.split(x, breaks), np.split(y, breaks), strict=True)
    )
    end = f'<circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="3" fill="{line.colour}"/>'
    return f'<path class="line" stroke="{line.colour}" d="{path}"/>{end}'


def _segment(x: _Vector, y: _Vector, *, step: bool) -> str:
    if step:
        turns = "".join(f"H{a:.1f}V{b:.1f}" for a, b in zip(x[1:], y[1:], strict=True))
        return f"M{x[0]:.1f} {y[0]:.1f}{turns}"
    return "".join(_places("M", x[:1], y[:1])) + "".join(_places("L", x[1:], y[1:]))


def _places(command: str, x: _Vector, y: _Vector, after: str = "") -> list[str]:
    return [f"{command}{a:.1f} {b:.1f}{after}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _bands(hover: Sequence[tuple[float, str]], frame: _Frame) -> list[str]:
    """Columns that lie over the lines and name what is below them; easier to hit than points."""
    if not hover:
        return []
    at = frame.across(np.array([place for place, _ in hover]))
    edges = np.r_[0.0, (at[1:] + at[:-1]) / 2, frame.width]
    return [
        f'<g class="band"><rect x="{a:.1f}" y="0" width="{max(b - a, 0.0):.1f}" height="{frame.height:.1f}"/>'
        f'<line x1="{place:.1f}" x2="{place:.1f}" y1="0" y2="{frame.height:.1f}"/><title>{escape(text)}</title></g>'
        for (a, b), place, (_, text) in zip(pairwise(edges.tolist()), at.tolist(), hover, strict=True)
    ]
