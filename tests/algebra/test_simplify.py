"""Laws over the reals: each gives the same number, at less work, and none is applied unasked."""

import pytest

from thalweg.algebra import constant, sqrt, sum_tensor, symbol, where
from thalweg.algebra.simplify import simplified

x, y, t = symbol("input", "g"), symbol("hyper", "lr"), symbol("clock", "t")


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        (x + 0, x), (0 + x, x), (x - 0, x), (0 - x, -x), (1 * x, x), (x * 1, x), (x / 1, x),
        (0 * x, constant(0)), (x * 0, constant(0)), (0 / x, constant(0)), (x**1, x),
        (x**0, constant(1)), (constant(1) ** x, constant(1)), (constant(0) ** t, constant(0)),
        (constant(2) * 3 + x, 6 + x), (sqrt(constant(9)) * x, 3 * x), (where(x > 0, y, y), y),
        (where(constant(2) > 1, x, y), x), (where(constant(0) > 1, x, y), y),
        (1 * (0 + x) / (2 - constant(1)), x),
    ],
)  # fmt: skip
def test_a_law_leads_to_the_shorter_form(longer, shorter):
    assert simplified((longer,))[0] is shorter


@pytest.mark.parametrize("kept", [x + y, x - y, y * x, x / y, x**y, 0 ** (x + 1), x * 2])
def test_what_no_law_covers_stays(kept):
    assert simplified((kept,))[0] is kept


def test_a_sum_over_elements_is_not_folded():
    assert simplified((sum_tensor(x * 0),))[0] is sum_tensor(constant(0))
