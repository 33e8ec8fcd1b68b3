"""The pure face: state in, state out, on whatever holds numbers, and differentiable throughout."""

import numpy as np
import pytest
import torch

from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.rules import adam, adamw, catalogue, chain, clip_by_global_norm, momentum, nadam, sgd

SMOOTH = ["sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "nadam", "radam",
          "sgdw", "adamw"]  # fmt: skip


def _loss_after(rule, lr, p, steps=4):
    state = rule.init(p, lr=lr)
    for t in range(1, steps + 1):
        p, state = rule.update(p, torch.sin(p) + 0.3 * p, state, t=t, lr=lr)
    return (p * p).sum()


@pytest.mark.parametrize("key", SMOOTH)
def test_the_learning_rate_and_the_start_have_right_gradients(key):
    rule = catalogue[key]
    lr = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    start = torch.tensor([0.7, -1.2, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: _loss_after(rule, a, b), (lr, start))


def test_members_with_their_own_rate_and_start_are_vmapped_together():
    rates = torch.tensor([0.01, 0.1], dtype=torch.float64)
    starts = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = torch.func.vmap(lambda lr, p: _loss_after(nadam, lr, p))(rates, starts)
    alone = [_loss_after(nadam, lr, p) for lr, p in zip(rates, starts, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-12, atol=0)


@pytest.mark.parametrize("wrap", [list, tuple, lambda leaves: dict(zip("ab", leaves, strict=True))])
def test_collections_keep_their_kind(wrap):
    params = wrap([np.ones(2), np.ones((2, 3))])
    state = adamw.init(params)
    new, after = adamw.update(params, params, state, t=1)
    assert type(new) is type(params)
    assert set(after) == {"exp_avg", "exp_avg_sq"}
    assert type(after["exp_avg"]) is type(params)


def test_gradients_are_matched_by_name_in_a_dict():
    params = {"a": np.zeros(1), "b": np.zeros(1)}
    new, _ = sgd.update(params, {"b": np.ones(1), "a": np.zeros(1)}, {}, t=1, lr=1.0)
    assert (new["a"], new["b"]) == (0.0, -1.0)


def test_a_global_norm_spans_the_collection():
    rule = chain(clip_by_global_norm, sgd)
    params = [np.zeros(1), np.zeros(1)]
    new, _ = rule.update(params, [np.array([3.0]), np.array([4.0])], {}, t=1, lr=1.0)
    np.testing.assert_allclose(np.concatenate(new), [-0.6, -0.8], rtol=1e-5)


def test_plain_numbers_are_parameters_too():
    state = momentum.init(1.0)
    p, state = momentum.update(1.0, 0.5, state, t=1, lr=0.1)
    assert (p, state) == (0.95, {"momentum_buffer": 0.5})


def test_a_rule_called_directly_gives_step_and_state():
    step, m, v = adam(np.ones(2), t=1, lr=0.5)
    np.testing.assert_allclose(step, [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose((m, v), ([0.1, 0.1], [0.001, 0.001]))


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (UnknownName, lambda p: adam.init(p, beta3=0.9), "beta3.*Did you mean 'beta[12]'"),
        (BadValue, lambda p: adam.init(p, lr=-1.0), r"lr=-1.0 is outside .*\[0, inf\)"),
        (BadValue, lambda p: adam.init(p, lr=float("nan")), "lr=nan"),
        (BadType, lambda p: adam.init(p, lr="fast"), "must be a number"),
        (BadValue, lambda p: adam.update(p, p, {}, t=1), r"no slot 'exp_avg'.*rule.init"),
        (BadValue, lambda p: sgd.update([p], [p, p], {}, t=1), "2 entries for 1 parameters"),
        (BadValue, lambda p: sgd.update({"a": p}, {"b": p}, {}, t=1), "keys of params: a"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(error, call, words):
    with pytest.raises(error, match=words):
        call(np.ones(2))


@pytest.mark.parametrize("kind", [np.int64, np.complex64])
def test_update_takes_real_numbers_only(kind):
    p = np.ones(3, kind)
    with pytest.raises(BadType, match="real floating-point numbers"):
        adam.update(p, p, adam.init(np.ones(3)), t=1)
