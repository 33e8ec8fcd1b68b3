"""Passes over sparse rows and over copies of weights; compiled modules contain their text."""

from typing import Any


def measure(starts: Any, columns: Any, values: Any, counts: Any, squares: Any) -> tuple:
    """Add up, by column, entries and squares; return sums of squared lengths and their squares."""
    seconds, fourths = 0.0, 0.0
    for row in range(starts.size - 1):
        length = 0.0
        for k in range(starts[row], starts[row + 1]):
            square = float(values[k]) * float(values[k])
            counts[columns[k]] += 1
            squares[columns[k]] += square
            length += square
        seconds += length
        fourths += length * length
    return seconds, fourths


def merge(table: Any, copies: Any, share: Any, weights: int, kept: int) -> None:
    """Put into *table* what threads made of their copies of it.

    A row's *share* of the changes of the first *weights* columns is added up; of the next columns,
    up to *kept*, the mean is taken; the others stay.
    """
    threads = copies.shape[0]
    for row in range(table.shape[0]):
        for column in range(kept):
            before, change = table[row, column], 0.0
            for thread in range(threads):
                change += copies[thread, row, column] - before
            table[row, column] = before + change * (share[row] if column < weights else 1 / threads)
