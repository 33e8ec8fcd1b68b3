"""Chains: one rule among any transforms, each reading the parameter as it was before the step."""

import copy
import pickle

import numpy as np
import pytest

from thalweg.algebra import ema, from_input, trace
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.rules import (
    adam,
    adamw,
    ascend,
    catalogue,
    chain,
    clip_by_value,
    decay,
    ema_average,
    find,
    l2_decay,
    momentum,
    rule,
    sgd,
    transform,
    variants,
)


def test_order_follows_what_pieces_act_on_not_where_they_stand():
    assert trace(chain(ema_average, decay, adam, clip_by_value)) is trace(
        chain(clip_by_value, adam, decay, ema_average)
    )


def test_transforms_of_the_gradient_apply_in_the_order_given():
    p, g = np.array([1.0]), np.array([5.0])
    first, _ = chain(clip_by_value, l2_decay, sgd).update(p, g, {}, t=1, lr=1.0, weight_decay=1.0)
    second, _ = chain(l2_decay, clip_by_value, sgd).update(p, g, {}, t=1, lr=1.0, weight_decay=1.0)
    assert (first[0], second[0]) == (-1.0, 0.0)


def test_decay_reads_the_parameter_as_it_was():
    p, _ = chain(sgd, decay).update(np.array([2.0]), np.array([1.0]), {}, t=1, lr=0.5,
                                    weight_decay=0.1)  # fmt: skip
    np.testing.assert_allclose(p, [2.0 - 0.5 * 1.0 - 0.5 * 0.1 * 2.0])


def test_the_first_gradient_of_a_chain_is_the_one_that_reaches_the_rule():
    start = np.array([1.0])
    state = chain(l2_decay, momentum).init(start)
    _, state = chain(l2_decay, momentum).update(start, start, state, t=1, weight_decay=0.5)
    np.testing.assert_allclose(state["momentum_buffer"], [1.5])


def test_an_average_sees_the_new_parameter():
    whole = chain(sgd, ema_average)
    start = np.array([1.0])
    _, state = whole.update(start, start, whole.init(start), t=1, lr=0.5, ema_decay=0.9)
    np.testing.assert_allclose(state["average"], [0.9 * 1.0 + 0.1 * 0.5])


def test_a_transform_of_the_new_parameter_can_move_it():
    @transform("projection")
    def onto_unit_interval(p_new):
        from thalweg.algebra import clip

        return clip(p_new, -1.0, 1.0)

    p, _ = chain(sgd, onto_unit_interval).update(np.array([0.5]), np.array([-9.0]), {}, t=1, lr=1.0)
    np.testing.assert_allclose(p, [1.0])


@pytest.mark.parametrize(
    ("error", "make", "words"),
    [
        (BadValue, lambda: chain(adam, sgd), "exactly one rule; it was given 2: Adam, SGD"),
        (BadValue, lambda: chain(decay), "only transforms"),
        (
            BadType,
            lambda: chain(adam, print),  # type: ignore[arg-type]
            "@rule or @transform",
        ),
        (BadValue, lambda: chain(adam, ema_average, ema_average), "slot named 'average'"),
        (BadValue, lambda: chain(l2_decay, adam, decay), "declare weight_decay differently"),
        (UnknownName, lambda: find("adm"), "Did you mean 'adam'"),
        (BadType, lambda: transform("x")(lambda p: p), "g, step, p_new"),
        (BadType, lambda: rule("x")(lambda g, q: g), "'q' cannot be supplied"),
        (BadType, lambda: rule("x")(lambda g, *, lr: g), "'lr' has no default"),
    ],
)
def test_what_makes_no_chain_is_refused(error, make, words):
    with pytest.raises(error, match=words):
        make()


def test_a_shared_hyperparameter_must_be_declared_by_someone():
    @rule("No rate")
    def no_rate(g):
        return g

    with pytest.raises(BadValue, match="reads the hyperparameter 'lr'"):
        chain(no_rate, decay)


@pytest.mark.parametrize("subject", [adam, adamw, chain(ascend, adam), ema_average])
def test_rules_and_transforms_survive_copies_and_pickles(subject):
    again = pickle.loads(pickle.dumps(subject))
    assert copy.deepcopy(subject) is subject
    assert again.key == subject.key
    if subject in (adam, ema_average):
        assert again is subject


def test_a_rule_defined_in_a_function_is_pickled_as_its_source():
    @rule("Local")
    def local(g, p, m=0, average=from_input("p"), *, lr=0.1):
        """Keep two averages."""
        return lr * g, ema(g, m, 0.9), ema(p, average, 0.5)

    again = pickle.loads(pickle.dumps(local))
    assert trace(again) is trace(local)
    assert again.signature.slots == local.signature.slots


def test_a_lambda_is_a_rule_that_can_be_pickled():
    shortest = rule("Shortest")(lambda g, *, lr=0.5: lr * g)
    assert trace(pickle.loads(pickle.dumps(shortest))) is trace(shortest)


def test_the_catalogue_lists_rules_by_their_own_names():
    assert list(catalogue) == [
        "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "amsgrad",
        "adamax", "nadam", "radam", "adabelief", "yogi", "rprop", "powersign", "addsign", "lion",
        "sgdw", "adamw", "lars", "lamb", "adaptive_revision",
    ]  # fmt: skip
    assert all(each.paper and each.summary for each in {**catalogue, **variants}.values())
