"""Curves drawn with braille dots, as wide as the terminal, with numbers on both axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

if TYPE_CHECKING:
    import numpy as np

    Curve = tuple[np.ndarray, np.ndarray]

STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
HEIGHT = 12
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Which bit of a braille character is the dot in a row and a column of it."""


class Dots:
    """Curves by name, each the places on the lower axis and the values there, for rich to print.

    It is so many lines high, without the axis. Logarithmic heights are for positive values.
    """

    def __init__(
        self, curves: Mapping[str, Curve], axis: str, height: int = HEIGHT,
        logarithmic: bool = False,
    ) -> None:  # fmt: skip
        self.curves = _logarithms(curves) if logarithmic else curves
        self.axis, self.height, self.logarithmic = axis, height, logarithmic
        self.low, self.high = _range(self.curves)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = [*map(self._label, (self.high, (self.low + self.high) / 2, self.low))]
        margin = max(map(len, labels))
        width = max(options.max_width - margin - 2, 10)
        cells = self._cells(width)
        at = {0: labels[0], self.height // 2: labels[1], self.height - 1: labels[2]}
        for row in range(self.height):
            line = Text(f"{at.get(row, ''):>{margin}} {'┤' if row in at else '│'}", no_wrap=True)
            for column in range(width):
                line.append(*cells.get((row, column), (" ", "")))
            yield line
        yield from self._below(margin, width)

    def _below(self, margin: int, width: int) -> Iterator[Text]:
        """Yield the lower axis, its numbers, what it counts, and which curve is which."""
        last = max(places[-1] for places, _ in self.curves.values())
        middle, end = f"{last / 2:,.6g}", f"{last:,.0f}"
        room = width - len(end)
        numbers = f"0{middle:^{max(2 * (width // 2) - 2, 1)}}"[:room].ljust(room) + end
        yield Text(f"{'':>{margin}} └{'─' * width}", no_wrap=True)
        yield Text(f"{'':>{margin}}  {numbers}", no_wrap=True)
        yield Text(f"{'':>{margin}}  {self.axis}", style="dim")
        if len(self.curves) > 1:
            names = (((f"⣿ {name}  ", _style(k))) for k, name in enumerate(self.curves))
            yield Text.assemble(f"{'':>{margin}}  ", *names)

    def _cells(self, width: int) -> dict[tuple[int, int], tuple[str, str]]:
        """Return the character and its style by row and column; a later curve lies on top."""
        found: dict[tuple[int, int], tuple[str, str]] = {}
        for number, (places, values) in enumerate(self.curves.values()):
            bits: dict[tuple[int, int], int] = {}
            for x, (top, bottom) in self._spans(places, values, 2 * width):
                for y in range(top, bottom + 1):
                    cell = (y // 4, x // 2)
                    bits[cell] = bits.get(cell, 0) | _BITS[y % 4][x % 2]
            found |= {cell: (chr(0x2800 + each), _style(number)) for cell, each in bits.items()}
        return found

    def _spans(
        self, places: np.ndarray, values: np.ndarray, columns: int
    ) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield for each column of dots the highest and the lowest that is drawn, from the top.

        A column reaches to where the one before it ended, so that a curve hangs together.
        """
        import numpy as np

        edges = np.linspace(0, len(values), columns + 1)
        before = None
        for x in range(columns):
            first = min(int(edges[x]), len(values) - 1)
            part = values[first : max(int(edges[x + 1]), first + 1)]
            reached = part if before is None else np.append(part, before)
            reached = reached[np.isfinite(reached)]
            before = part[-1]
            if len(reached):
                yield x, (self._row(reached.max()), self._row(reached.min()))

    def _row(self, value: float) -> int:
        share = (self.high - value) / (self.high - self.low)
        return round(float(share) * (4 * self.height - 1))

    def _label(self, height: float) -> str:
        return f"{10**height if self.logarithmic else height:.4g}"


def _logarithms(curves: Mapping[str, Curve]) -> Mapping[str, Curve]:
    import numpy as np

    return {name: (places, np.log10(values)) for name, (places, values) in curves.items()}


def _style(number: int) -> str:
    return STYLES[number % len(STYLES)]


def _range(curves: Mapping[str, Curve]) -> tuple[float, float]:
    """Return the lowest and the highest finite value; a constant stands in the middle."""
    import numpy as np

    values = np.concatenate([values for _, values in curves.values()])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (min(0.0, 2 * low), max(2 * high, 0.0) or 1.0)
