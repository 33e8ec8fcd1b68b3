"""What batch sizes cost, side by side in a table that fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from thalweg.training import Cost

_COLUMNS = {
    "gradients": "per update",
    "time": "per update",
    "batch": "memory",
    "saved": "memory",
    "updates": "per epoch",
    "epoch": "time per",
}
_TIMES = ((1.0, "s "), (1e-3, "ms"), (1e-6, "µs"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B "))


def costs(each: Sequence[Cost]) -> RenderableType:
    """Return one row for each batch size: gradients, time and memory of an update and an epoch."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    drawn.add_column("\nbatch", no_wrap=True)
    for name, above in _COLUMNS.items():
        drawn.add_column(f"{above}\n{name}", justify="right", no_wrap=True)
    for cost in each:
        drawn.add_row(*_cells(cost))
    return Group(drawn, "", *(Text(line, style="dim") for line in _reading(each)))


def _cells(cost: Cost) -> tuple[str, ...]:
    about = "~ " if cost.extrapolated else ""
    return (
        cost.name,
        f"{cost.batch:,}",
        _scaled(cost.seconds, _TIMES),
        _scaled(cost.batch_bytes, _SIZES),
        _scaled(cost.saved_bytes, _SIZES),
        f"{cost.updates:,}",
        about + _scaled(cost.epoch_seconds, _TIMES),
    )


def _reading(each: Sequence[Cost]) -> list[str]:
    counts = sorted({cost.gradients for cost in each})
    lines = [f"An epoch computes {count:,} gradients, one of each example." for count in counts]
    lines += [
        "Times are medians. Memory: the batch itself, and what autograd saves for the",
        "backward pass; the model, its gradient and the optimizer come on top.",
    ]
    if any(cost.extrapolated for cost in each):
        lines.append("~ extrapolated from the median of an update.")
    return lines


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """Write a number with three significant digits in the largest unit that it is one of."""
    scale, unit = next((each for each in units if value >= each[0]), units[-1])
    found = value / scale
    digits = 0 if found >= 100 or unit == "B " else 1 if found >= 10 else 2
    return f"{found:.{digits}f} {unit}"
