"""Theorem 1 of Reddi, Kale & Kumar: on one small problem Adam walks to the worst point there is."""

import pytest

from thalweg.rules import adam_uncorrected, amsgrad_paper

C = 3
STEPS = 30_000


@pytest.mark.parametrize(("rule", "ends"), [(adam_uncorrected, 1.0), (amsgrad_paper, -1.0)])
def test_adam_ends_at_the_worst_point_and_amsgrad_at_the_best(rule, ends):
    """f_t(x) = Cx every third step and -x otherwise, on [-1, 1], so that -1 is best."""
    settings = {"beta1": 0.0, "beta2": 1 / (1 + C**2), "eps": 0.0}
    x, state = 0.0, rule.init(0.0)
    for t in range(1, STEPS + 1):
        g = float(C) if t % 3 == 1 else -1.0
        step, *new = rule(g, *state.values(), lr=0.1 / t**0.5, **settings)
        state = dict(zip(state, new, strict=True))
        x = min(1.0, max(-1.0, x - step))
    assert abs(x - ends) < 1e-3
