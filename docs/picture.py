"""Draws docs/valley.svg, five rules on their way down a curved valley: `python -m docs.picture`.

The valley is Rosenbrock's, (1 - x)² + 20 (y - x²)²: steep walls, and a floor along y = x² that
falls slowly to its lowest point at (1, 1). Every rule takes the same number of steps from the same
place. The learning rates are chosen so that each path can be followed; this is not a race.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thalweg.rules import Rule, find

Array = NDArray[np.float64]

START = (-1.6, 1.2)
STEPS = 150
RATES = {"sgd": 0.005, "adagrad": 0.5, "adam": 0.15, "nesterov": 0.001, "momentum": 0.001}
COLOURS = {
    "sgd": "#8c8c8c",
    "momentum": "#d55e00",
    "nesterov": "#e69f00",
    "adagrad": "#009e73",
    "adam": "#0a84d6",
}
WALL = 20.0
LEVELS = (0.03, 0.15, 0.5, 1.2, 2.5, 5.0, 10.0, 20.0, 40.0)

LEFT, RIGHT, BOTTOM, TOP = -1.75, 1.65, -0.6, 1.98
WIDTH, HEIGHT, LEGEND = 820, 440, 44


class Descent(NamedTuple):
    """A rule, its learning rate, and the points it visited, (steps + 1, 2), the start first."""

    rule: Rule
    lr: float
    points: Array


def slope(x: float, y: float) -> Array:
    """Return the gradient of the valley."""
    return np.array([2 * (x - 1) - 4 * WALL * x * (y - x**2), 2 * WALL * (y - x**2)])


def descend(rule: Rule, lr: float) -> Descent:
    """Follow a rule from the start."""
    p = np.array(START)
    state = rule.init(p, lr=lr)
    points = [p]
    for t in range(1, STEPS + 1):
        p, state = rule.update(p, slope(*p), state, t=t, lr=lr)
        points.append(p)
    return Descent(rule, lr, np.stack(points))


def place(x: float, y: float) -> str:
    """Return a point of the plane as SVG coordinates."""
    across = (x - LEFT) / (RIGHT - LEFT) * WIDTH
    down = (TOP - y) / (TOP - BOTTOM) * HEIGHT
    return f"{across:.1f} {down:.1f}"


def line(points: Array) -> str:
    """Return the path data of a polyline."""
    return "M" + "L".join(place(*point) for point in points)


def level(height: float) -> str:
    """Return the path data of the curve of this height, closed outside the view if need be."""
    radius = math.sqrt(height)
    low, high = max(1 - radius, LEFT - 0.5), min(1 + radius, RIGHT + 0.5)
    x = (low + high - (high - low) * np.cos(np.linspace(0, math.pi, 121))) / 2
    half = np.sqrt(np.maximum(height - (1 - x) ** 2, 0) / WALL)
    upper = np.stack([x, x**2 + half], axis=1)
    lower = np.stack([x, x**2 - half], axis=1)
    return line(np.concatenate([upper, lower[::-1]])) + "Z"


def valley() -> Iterator[str]:
    """Yield the level curves, darker towards the floor, and the floor itself."""
    for height in reversed(LEVELS):
        yield f'<path class="level" d="{level(height)}"/>'
    x = np.linspace(-1.5, 1, 80)
    yield f'<path class="floor" d="{line(np.stack([x, x**2], axis=1))}"/>'


def paths(descents: list[Descent]) -> Iterator[str]:
    """Yield every path with a dot at each fifth step, then the discs where they end."""
    for each in descents:
        colour = COLOURS[each.rule.key]
        dots = "".join(f"M{place(*point)}h0" for point in each.points[::5])
        yield f'<path class="path" stroke="{colour}" d="{line(each.points)}"/>'
        yield f'<path class="dots" stroke="{colour}" d="{dots}"/>'
    for each in descents:
        yield disc(each, place(*each.points[-1]))


def disc(descent: Descent, at: str) -> str:
    """Return a disc in a rule's colour."""
    return f'<path class="disc" stroke="{COLOURS[descent.rule.key]}" d="M{at}h0"/>'


def legend(descents: list[Descent]) -> Iterator[str]:
    """Yield each rule's name and learning rate beside a disc in its colour."""
    ordered = sorted(descents, key=lambda each: list(COLOURS).index(each.rule.key))
    for index, each in enumerate(ordered):
        x, y = 14 + index * WIDTH // len(ordered), HEIGHT + 18
        yield disc(each, f"{x} {y}")
        yield f'<text class="name" x="{x + 12}" y="{y + 5}">{each.rule.name}</text>'
        yield f'<text x="{x + 12}" y="{y + 22}">lr {each.lr:g}</text>'


STYLE = """
.level { fill: #4a90c2; fill-opacity: .09; stroke: #4a90c2; stroke-opacity: .35; }
.floor { fill: none; stroke: #7d8590; stroke-width: 1.5; stroke-dasharray: 2 5; }
.path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.dots { fill: none; stroke-width: 4.5; stroke-linecap: round; }
.disc { fill: none; stroke-width: 11; stroke-linecap: round; }
text { font: 12px system-ui, sans-serif; fill: #7d8590; }
.name { font-size: 14px; font-weight: 600; }
"""


def picture() -> str:
    """Return the SVG; its background is transparent and its colours suit light and dark pages."""
    descents = [descend(find(key), lr) for key, lr in RATES.items()]
    whole = f'viewBox="0 0 {WIDTH} {HEIGHT + LEGEND}"'
    plane = f'width="{WIDTH}" height="{HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {whole}>',
            f"<style>{STYLE}</style>",
            f"<svg {plane}>",
            *valley(),
            *paths(descents),
            "</svg>",
            *legend(descents),
            "</svg>\n",
        ]
    )


def main() -> None:
    """Write the picture beside this file."""
    path = Path(__file__).with_name("valley.svg")
    path.write_text(picture(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
