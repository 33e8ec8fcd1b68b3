"""Which compositions are the same algorithm: not equal numbers, one and the same tree."""

import pytest

from thalweg.algebra import ema, sqrt
from thalweg.algebra.simplify import fixed, simplified
from thalweg.rules import (
    adadelta,
    adadelta_keras,
    adam,
    adam_uncorrected,
    adamw,
    addsign,
    amsgrad,
    amsgrad_paper,
    chain,
    clip_by_value,
    corrected_decay,
    decay,
    decay_by_schedule,
    ema_average,
    independent_decay,
    l2_decay,
    lamb,
    lars,
    momentum,
    nadam,
    nadam_keras,
    nesterov,
    powersign,
    rmsprop,
    rmsprop_momentum,
    rule,
    sgd,
    sgdw,
    trust_ratio,
)


def _key(each):
    """Name a rule in the name of a test, the same in every process."""
    return getattr(each, "key", None) or str(each)


@pytest.mark.parametrize(
    ("composed", "named"),
    [
        (chain(adam, decay), adamw),
        (chain(decay, adam), adamw),
        (chain(momentum, decay), sgdw),
        (chain(adamw, trust_ratio), lamb),
        (chain(adadelta), adadelta_keras),
        (chain(nadam), nadam_keras),
    ],
    ids=_key,
)
def test_a_composition_is_the_rule_it_is_named_for(composed, named):
    assert composed.outputs is named.outputs


def test_transforms_of_gradient_and_step_commute_with_each_other_but_not_among_themselves():
    assert chain(clip_by_value, adam, decay).outputs is chain(decay, clip_by_value, adam).outputs
    first, second = chain(l2_decay, clip_by_value, sgd), chain(clip_by_value, l2_decay, sgd)
    assert first.outputs is not second.outputs


def _same(found, expected):
    return all(a is b for a, b in zip(found, expected, strict=True))


@rule("RMSprop with bias correction")
def corrected(g, exp_avg_sq=0, *, t, lr=1e-3, beta2=0.999, eps=1e-8):
    """Divide by the corrected root of a running mean of squared gradients."""
    v = ema(g * g, exp_avg_sq, beta2)
    v_hat = v / (1 - beta2**t)
    return lr * g / (sqrt(v_hat) + eps), v


def test_adam_without_momentum_is_rmsprop_with_bias_correction():
    step, m, v = fixed(adam.outputs, beta1=0)
    assert _same((step, v), corrected.outputs)
    assert repr(m) == "g"


PLAIN = {
    "momentum at 0": fixed(momentum.outputs, momentum=0, dampening=0),
    "Nesterov at 0": fixed(nesterov.outputs, momentum=0, dampening=0),
    "SGDW without either": fixed(sgdw.outputs, momentum=0, dampening=0, weight_decay=0),
    "L2 decay of 0": fixed(chain(l2_decay, sgd).outputs, weight_decay=0),
    "PowerSign to the base 1": fixed(powersign.outputs, alpha=1),
    "an average beside it": chain(sgd, ema_average).outputs,
}


@pytest.mark.parametrize("name", PLAIN)
def test_many_rules_are_gradient_descent_at_the_edge_of_their_settings(name):
    assert PLAIN[name][0] is sgd.outputs[0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (fixed(adamw.outputs, weight_decay=0), adam.outputs),
        (fixed(rmsprop_momentum.outputs, momentum=0)[:2], rmsprop.outputs),
        (fixed(chain(adam, independent_decay).outputs, weight_decay=0), adam.outputs),
        (fixed(chain(adam, decay_by_schedule).outputs, weight_decay=0), adam.outputs),
        (fixed(chain(adam, corrected_decay).outputs, weight_decay=0), adam.outputs),
    ],
)
def test_a_rule_contains_another(found, expected):
    assert _same(found, expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [(adam, amsgrad), (amsgrad, amsgrad_paper), (adam, adam_uncorrected), (powersign, addsign),
     (lars, lamb), (momentum, nesterov)],
)  # fmt: skip
def test_rules_that_differ_are_different_trees(one, other):
    assert one.outputs is not other.outputs
    assert not _same(simplified(one.outputs)[:1], simplified(other.outputs)[:1])


@pytest.mark.parametrize("each", [sgd, adam, nesterov, lamb], ids=_key)
def test_simplifying_changes_no_rule_as_it_stands(each):
    assert _same(simplified(each.outputs), each.outputs)
