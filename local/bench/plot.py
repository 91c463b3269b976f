"""Bars as plain SVG: a plotting library would be the largest thing that the bench installs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _ROW, _HEAD = 860, 240, 22, 44
_COLOURS = ("#1b6ac9", "#c9731b")


@dataclass(frozen=True)
class Panel:
    """One chart: (subject, label, value) of each bar. The axis is logarithmic: a peer may be a hundred times off."""

    title: str
    bars: Sequence[tuple[str, str, float]]


def plot(panels: Sequence[Panel]) -> str:
    """An SVG document with the panels below each other."""
    parts, top = [], 0
    for panel in panels:
        parts.append(_panel(panel, top))
        top += _HEAD + _ROW * len(panel.bars) + 16
    size = f'width="{_WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
    return "\n".join([head, f'<rect {size} fill="white"/>', *parts, "</svg>", ""])


def _panel(panel: Panel, top: int) -> str:
    subjects = list(dict.fromkeys(subject for subject, _, _ in panel.bars))
    low = 10 ** math.floor(math.log10(min(value for _, _, value in panel.bars))) if panel.bars else 1
    high = max((value for _, _, value in panel.bars), default=1)
    scale = (_WIDTH - _LEFT - 90) / max(math.log10(high / low), 1e-9)
    lines = [f'<text x="10" y="{top + 28}" font-weight="bold">{escape(panel.title)} (logarithmic)</text>']
    for row, (subject, label, value) in enumerate(panel.bars):
        y = top + _HEAD + row * _ROW
        length = max(2.0, math.log10(value / low) * scale)
        colour = _COLOURS[subjects.index(subject) % len(_COLOURS)]
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(f"{subject}: {label}")}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{length:.0f}" height="{_ROW - 5}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.0f}" y="{y + 14}">{value:,.1f}</text>',
        ]
    return "\n".join(lines)
