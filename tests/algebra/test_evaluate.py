"""Sums and means over parts of parameters are completed to those over whole parameters."""

import warnings

import numpy as np
import pytest

from thalweg.algebra import evaluate, mean_tensor, norm, symbol

G = symbol("input", "g")
ELSEWHERE = np.array([2.0, 4.0, 9.0])


def completion(*totals):
    """Return a completion that adds to the sums it is asked for, one after the other, *totals*."""
    left = list(totals)
    return lambda sums: [each + left.pop(0) for each in sums]


@pytest.mark.parametrize("here", [np.array([1.0, 4.0]), np.array([])], ids=["two", "none"])
def test_a_mean_is_taken_over_the_whole_parameter_and_never_over_a_part(here):
    complete = completion(ELSEWHERE.sum(), ELSEWHERE.size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of the mean of a part without elements
        ((mean,),) = evaluate((mean_tensor(G),), [{G: here}], complete)
    assert mean == np.concatenate([here, ELSEWHERE]).mean()


def test_a_norm_is_of_the_whole_parameter():
    here = np.array([3.0])
    ((size,),) = evaluate((norm(G),), [{G: here}], completion((ELSEWHERE**2).sum()))
    assert size == np.sqrt(9 + 4 + 16 + 81)


def test_without_a_completion_the_rows_are_whole():
    assert evaluate((mean_tensor(G),), [{G: ELSEWHERE}, {G: np.ones(2)}]) == [(5.0,), (1.0,)]
