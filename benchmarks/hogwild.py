"""Times sparse logistic regression against scikit-learn's SGDClassifier, side by side.

    python benchmarks/hogwild.py            the table
    python benchmarks/hogwild.py --write    also put it into benchmarks/README.md

In each round scikit-learn (on double and on single precision, of which the faster counts) and ours
on one thread, on two and on as many as our probe chooses take turns, each from nothing, for the
same number of epochs. A ratio is scikit-learn's time over ours in the same round, so more is
better. Beside it stands what two threads of pure arithmetic gave in that round over one: where
other programs want the cores, it is below 2, and nothing else can be faster on two either.
"""

import argparse
import statistics
import threading
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from step import machine, write
from turns import ratios, seconds, spread, verdict

from thalweg.parallel import HogwildClassifier

ROWS, COLUMNS, ENTRIES = 100_000, 50_000, 50
HELD_OUT = 20_000
WANTED = 2.5
HEAD = (
    "| features | threads | ours, ms | scikit-learn's, ms | ratio | worst – best round | wanted | "
    "reached | held-out loss, ours and theirs | weights | arithmetic on two threads |\n"
    "|---|---|---:|---:|---:|---|---:|---|---|---|---:|"
)


def examples(exponent: float) -> tuple[Any, np.ndarray]:
    """Return rows of random features, of which number k is as frequent as k to -*exponent*."""
    random = np.random.default_rng(0)
    rows = ROWS + HELD_OUT
    shares = np.cumsum(np.arange(1, COLUMNS + 1) ** -exponent)
    chosen = np.searchsorted(shares / shares[-1], random.random((rows, ENTRIES)))
    columns = np.sort(np.minimum(chosen, COLUMNS - 1), axis=1).astype(np.int32)
    values = random.standard_normal(rows * ENTRIES, np.float32)
    starts = np.arange(0, rows * ENTRIES + 1, ENTRIES, dtype=np.int32)
    X = sparse.csr_matrix((values, columns.ravel(), starts), (rows, COLUMNS))
    X.sum_duplicates()
    z = X @ (0.5 * random.standard_normal(COLUMNS, np.float32))
    return X, np.where(random.random(rows) < 1 / (1 + np.exp(-z)), 1, -1)


@njit(nogil=True)
def arithmetic(count):
    total = 1.0
    for _ in range(count):
        total = total * 1.0000001 + 1e-9
    return total


def gain_of_two_threads(count: int = 20_000_000) -> float:
    """Return how many times as much two threads compute as one, in memory of their own."""
    alone = seconds(lambda: arithmetic(count))

    def both() -> None:
        other = threading.Thread(target=arithmetic, args=(count,))
        other.start()
        arithmetic(count)
        other.join()

    return 2 * alone / seconds(both)


def sides(epochs: int) -> dict[str, Any]:
    """Return the models that take turns."""
    same: dict[str, Any] = {"max_iter": epochs, "tol": None, "random_state": 0}
    return {
        "double": SGDClassifier(loss="log_loss", **same),
        "single": SGDClassifier(loss="log_loss", **same),
        **{
            name: HogwildClassifier(n_jobs=threads, **same)
            for name, threads in (("1", 1), ("2", 2), ("probed", None))
        },
    }


def taken(models: dict[str, Any], X: Any, y: np.ndarray, rounds: int) -> tuple[dict, list[float]]:
    """Fit all *models* in turns; return their seconds, and the gain of two threads, by round."""
    inputs = {name: X.astype(np.float64) if name == "double" else X for name in models}
    found: dict[str, list[float]] = {name: [] for name in models}
    gains: list[float] = []
    for _ in range(rounds + 1):
        for name, model in models.items():
            found[name].append(seconds(lambda: model.fit(inputs[name], y)))  # noqa: B023
        gains.append(gain_of_two_threads())
    return {name: times[1:] for name, times in found.items()}, gains[1:]


def lines(label: str, exponent: float, rounds: int, epochs: int) -> list[str]:
    X, y = examples(exponent)
    models = sides(epochs)
    times, gains = taken(models, X[:ROWS], y[:ROWS], rounds)
    losses = {
        name: log_loss(y[ROWS:], model.predict_proba(X[ROWS:])) for name, model in models.items()
    }
    peer = min(("double", "single"), key=lambda name: statistics.median(times[name]))
    return [
        row(
            label, name, models[name], times[name], times[peer], (losses[name], losses[peer]), gains
        )
        for name in ("1", "2", "probed")
    ]


def row(
    label: str, name: str, model: Any, ours: list[float], theirs: list[float],
    losses: tuple[float, float], gains: list[float],
) -> str:  # fmt: skip
    found = ratios(theirs, ours)
    same = losses[0] <= 1.01 * losses[1]
    reached = verdict(found, WANTED) if same else "NO"
    threads = name if name != "probed" else f"probed: {model.n_threads_}"
    return (
        f"| {label} | {threads} | {statistics.median(ours) * 1e3:,.0f} | "
        f"{statistics.median(theirs) * 1e3:,.0f} | {spread(found)} | {WANTED:g} | {reached} | "
        f"{losses[0]:.4f}, {losses[1]:.4f} | {model.sharing_} | {statistics.median(gains):.2f} |"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    table = [HEAD]
    for label, exponent in (("equally frequent", 0.0), ("Zipf", 1.1)):
        for line in lines(label, exponent, chosen.rounds, chosen.epochs):
            table.append(line)
            print(line, flush=True)
    if chosen.write:
        write({"hogwild": table})


if __name__ == "__main__":
    main()
