"""Draws docs/valley.svg, five rules on their way down a curved valley: `python -m docs.picture`.

The valley is Rosenbrock's, (1 - x)² + 20 (y - x²)²: steep walls, and a floor along y = x² that
falls slowly to its lowest point at (1, 1). Every rule takes the same number of steps from the same
place, with the learning rate that ended lowest of 25 spread over the rule's own search range.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thalweg.rules import Rule, find

Array = NDArray[np.float64]

START = (-1.25, 1.3)
STEPS = 100
TRIALS = 25
WALL = 20.0
LEVELS = (0.03, 0.15, 0.5, 1.2, 2.5, 5.0, 10.0, 20.0, 40.0)
COLOURS = {
    "sgd": "#8c8c8c",
    "momentum": "#d55e00",
    "nesterov": "#e69f00",
    "rmsprop": "#009e73",
    "adam": "#0a84d6",
}


class Descent(NamedTuple):
    """A rule, the learning rate it was given, and the points it visited, the start first."""

    rule: Rule
    lr: float
    points: Array


def height(x: float, y: float) -> float:
    """Return how far the point lies above the bottom of the valley."""
    return (1 - x) ** 2 + WALL * (y - x**2) ** 2


def slope(x: float, y: float) -> Array:
    """Return the gradient of `height`."""
    return np.array([2 * (x - 1) - 4 * WALL * x * (y - x**2), 2 * WALL * (y - x**2)])


def descend(rule: Rule, lr: float) -> Descent:
    """Follow *rule* from the start; a path that leaves the valley stays at its last point."""
    p = np.array(START)
    state = rule.init(p, lr=lr)
    points = [p]
    for t in range(1, STEPS + 1):
        p, state = rule.update(p, slope(*p), state, t=t, lr=lr)
        if np.abs(p).max() > 10:
            break
        points.append(p)
    return Descent(rule, lr, np.stack(points))


def best(key: str) -> Descent:
    """Return the descent of a rule that ends lowest among the learning rates tried."""
    rule = find(key)
    search = rule.hyperparameters["lr"].search
    assert search is not None
    tried = [descend(rule, float(lr)) for lr in np.geomspace(*search, TRIALS)]
    whole = [each for each in tried if len(each.points) == STEPS + 1]
    return min(whole, key=lambda each: height(*each.points[-1]))


LEFT, RIGHT, BOTTOM, TOP = -1.75, 1.65, -0.75, 2.15
WIDTH, HEIGHT, LEGEND = 820, 480, 44


def place(x: float, y: float) -> str:
    """Return a point of the plane as SVG coordinates."""
    across = (x - LEFT) / (RIGHT - LEFT) * WIDTH
    down = (TOP - y) / (TOP - BOTTOM) * HEIGHT
    return f"{across:.1f} {down:.1f}"


def line(points: Array) -> str:
    """Return the path data of a polyline."""
    return "M" + "L".join(place(*point) for point in points)


def level(value: float) -> str:
    """Return the closed curve on which the height is *value*."""
    x = 1 - math.sqrt(value) * np.cos(np.linspace(0, math.pi, 121))
    half = np.sqrt(np.maximum(value - (1 - x) ** 2, 0) / WALL)
    upper = np.stack([x, x**2 + half], axis=1)
    lower = np.stack([x, x**2 - half], axis=1)
    return line(np.concatenate([upper, lower[::-1]])) + "Z"


def valley() -> Iterator[str]:
    """Yield the level curves, darker towards the floor, and the floor itself."""
    for value in reversed(LEVELS):
        yield f'<path class="level" d="{level(value)}"/>'
    x = np.linspace(-1.6, 1, 80)
    yield f'<path class="floor" d="{line(np.stack([x, x**2], axis=1))}"/>'


def drawn(descent: Descent) -> Iterator[str]:
    """Yield a path with a dot at every fifth step and a disc where it ends."""
    colour = COLOURS[descent.rule.key]
    yield f'<path class="path" stroke="{colour}" d="{line(descent.points)}"/>'
    dots = "".join(f"M{place(*point)}h0" for point in descent.points[::5])
    yield f'<path class="dots" stroke="{colour}" d="{dots}"/>'
    yield f'<path class="end" stroke="{colour}" d="M{place(*descent.points[-1])}h0"/>'


def legend(descents: list[Descent]) -> Iterator[str]:
    """Yield each rule's name, learning rate and final height, in its colour."""
    for index, each in enumerate(descents):
        x, y = 14 + index * WIDTH / len(descents), HEIGHT + 18
        yield f'<path class="end" stroke="{COLOURS[each.rule.key]}" d="M{x:.0f} {y}h0"/>'
        yield f'<text class="name" x="{x + 12:.0f}" y="{y + 5}">{each.rule.name}</text>'
        reached = f"lr {each.lr:.2g}, ends at {height(*each.points[-1]):.1g}"
        yield f'<text x="{x + 12:.0f}" y="{y + 22}">{reached}</text>'


STYLE = """
.level { fill: #4a90c2; fill-opacity: .09; stroke: #4a90c2; stroke-opacity: .35; }
.floor { fill: none; stroke: #7d8590; stroke-width: 1.5; stroke-dasharray: 2 5; }
.path { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-opacity: .9; }
.dots { fill: none; stroke-width: 4.5; stroke-linecap: round; }
.end { fill: none; stroke-width: 11; stroke-linecap: round; }
text { font: 12px system-ui, sans-serif; fill: #7d8590; }
.name { font-size: 14px; font-weight: 600; }
"""


def picture() -> str:
    """Return the SVG; its background is transparent and its colours suit light and dark pages."""
    descents = [best(key) for key in COLOURS]
    parts = [*valley(), *(part for each in descents for part in drawn(each))]
    frame = f'<svg class="plane" width="{WIDTH}" height="{HEIGHT}">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + LEGEND}">',
            f"<style>{STYLE}</style>",
            frame, *parts, "</svg>", *legend(descents), "</svg>\n",
        ]
    )  # fmt: skip


def main() -> None:
    """Write the picture beside this file."""
    path = Path(__file__).with_name("valley.svg")
    path.write_text(picture(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
