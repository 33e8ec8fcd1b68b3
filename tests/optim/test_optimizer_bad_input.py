"""Bad input is refused with what was given and what to do, and nothing has changed after it."""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twins import NAMES, assert_same_bits, build, leaf

import thalweg
from thalweg import optim
from thalweg.errors import BadType, BadValue, ThalwegError, UnknownName

EVERY = [*NAMES, "SGDW", "SparseAdam"]


def one() -> list[Tensor]:
    return [leaf(torch.ones(3))]


ILLEGAL: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    *((name, {"lr": -0.5}, BadValue, rf"^{name}: lr=-0.5 .*legal range \[0") for name in EVERY),
    *((name, {"lr": math.nan}, BadValue, rf"^{name}: lr=nan .*range \[0, inf\)") for name in EVERY),
    *((name, {"lr": "0.1"}, BadType, rf"^{name}: lr must be a number .*str") for name in EVERY),
    *((name, {"lr": torch.ones(2)}, BadValue, r"lr is a tensor of shape \(2,\)") for name in EVERY),
    ("Adam", {"lr": torch.tensor(-1.0)}, BadValue, "lr=-1.0 is outside"),
    ("Adam", {"lr": True}, BadType, "lr must be a number"),
    ("Adam", {"lr": None}, BadType, "lr must be a number .*NoneType"),
    ("Adam", {"betas": (1.0, 0.9)}, BadValue, r"betas\[0\]=1.0 .*\[0, 1\)"),
    ("Adam", {"betas": (0.9, 1.0)}, BadValue, r"betas\[1\]=1.0 .*\[0, 1\)"),
    ("Adam", {"betas": (-0.1, 0.9)}, BadValue, r"betas\[0\]=-0.1 .*\[0, 1\)"),
    ("Adam", {"betas": (math.nan, 0.9)}, BadValue, r"betas\[0\]=nan .*\[0, 1\)"),
    ("Adam", {"betas": 0.9}, BadType, r"betas\[0\] is not in 0.9; expected a pair"),
    ("Adam", {"betas": (0.9,)}, BadType, r"betas\[1\] is not in \(0.9,\); expected a pair"),
    ("AdamW", {"weight_decay": -1e-2}, BadValue, "weight_decay=-0.01 is outside"),
    ("NAdam", {"momentum_decay": -1.0}, BadValue, "momentum_decay=-1.0 is outside"),
    ("Adamax", {"eps": -1e-8}, BadValue, "eps=-1e-08 is outside"),
    ("Adagrad", {"lr_decay": -1.0}, BadValue, "lr_decay=-1.0 is outside"),
    ("Adagrad", {"initial_accumulator_value": -1.0}, BadValue, "initial_accumulator_value=-1.0"),
    ("Adadelta", {"rho": 1.5}, BadValue, r"rho=1.5 .*\[0, 1\]"),
    ("RMSprop", {"alpha": -0.1}, BadValue, "alpha=-0.1 is outside"),
    ("RMSprop", {"momentum": -0.1}, BadValue, "momentum=-0.1 is outside"),
    ("SGD", {"momentum": -0.1}, BadValue, "momentum=-0.1 is outside"),
    ("SGD", {"weight_decay": math.nan}, BadValue, "weight_decay=nan is outside"),
    ("SGD", {"nesterov": True}, BadValue, "nesterov=True with momentum=0 .*positive momentum"),
    (
        "SGD",
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        BadValue,
        "dampening=0.1; it needs a positive momentum and no dampening",
    ),
    ("Rprop", {"etas": (1.5, 1.2)}, BadValue, r"etas\[0\]=1.5 .*\(0, 1\)"),
    ("Rprop", {"etas": (0.5, 0.9)}, BadValue, r"etas\[1\]=0.9 .*\(1, inf\)"),
    ("Adam", {"differentiable": True}, BadValue, r"differentiable=True: .*\(3,\).*p\.clone\(\)"),
    ("SGDW", {"differentiable": True}, BadValue, "leaf that requires grad"),
]


@pytest.mark.parametrize(("name", "options", "kind", "message"), ILLEGAL)
def test_an_illegal_setting_is_refused(
    name: str, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        build(optim, name, one(), **options)


@pytest.mark.parametrize(("name", "options", "kind", "message"), ILLEGAL)
def test_an_illegal_setting_of_a_new_group_leaves_the_groups_as_they_were(
    name: str, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    params = one()
    optimizer = build(optim, name, params)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(kind, match=message):
        optimizer.add_param_group({"params": one(), **options})
    assert len(optimizer.param_groups) == 1
    assert optimizer.state_dict()["param_groups"] == before["param_groups"]
    assert optimizer.state.keys() == {p for p in params if name == "Adagrad"}


def used_up() -> Any:
    params = iter(one())
    list(params)
    return params


def twice() -> list[Tensor]:
    return one() * 2


def in_two_groups() -> list[dict[str, Any]]:
    params = one()
    return [{"params": params}, {"params": params, "lr": 0.1}]


MISGIVEN: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "nothing": (list, BadValue, "parameter list is empty"),
    "a used iterator": (used_up, BadValue, "used up already"),
    "a frozen module's none": (lambda: nn.ReLU().parameters(), BadValue, "list is empty"),
    "one tensor": (lambda: torch.ones(3), BadType, r"one tensor; expected .*\[tensor\]"),
    "a number": (lambda: 5, BadType, r"params is int; .*model.parameters\(\)"),
    "a dict": (lambda: {"params": one()}, BadType, r"params is a dict; expected a list"),
    "a module": (lambda: nn.Linear(2, 2), BadType, r"params is Linear; .*model.parameters\(\)"),
    "a set in a group": (lambda: [{"params": set(one())}], BadType, "set, whose order changes"),
    "twice in a group": (twice, BadValue, r"params\[1\] \(shape \(3,\)\) is in the list twice"),
    "in two groups": (in_two_groups, BadValue, r"params\[0\] .* already in group 0"),
    "integers": (
        lambda: [torch.ones(2, dtype=torch.int64)],
        BadType,
        r"params\[0\] has dtype torch.int64; .*\.float\(\)",
    ),
    "booleans": (lambda: [torch.ones(2, dtype=torch.bool)], BadType, "dtype torch.bool"),
    "a sparse tensor": (
        lambda: [torch.eye(2).to_sparse()],
        BadType,
        r"params\[0\] \(shape \(2, 2\)\) is a sparse tensor; .*Only gradients may be sparse",
    ),
    "a list of numbers": (lambda: [1.0, 2.0], BadType, r"params\[0\] is float; expected a tensor"),
    "a late stranger": (lambda: [*one(), "w"], BadType, r"params\[1\] is str; expected a tensor"),
    "a group among tensors": (
        lambda: [*one(), {"params": one()}],
        BadType,
        r"params\[1\] is dict; expected a tensor",
    ),
    "computed": (lambda: [one()[0] * 2], BadValue, r"params\[0\] .* computed from other tensors"),
    "a group without any": (lambda: [{"lr": 0.1}], BadValue, "has no 'params'"),
}


@pytest.mark.parametrize("what", MISGIVEN)
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_parameters_that_cannot_be_optimized_are_refused(name: str, what: str) -> None:
    make, kind, message = MISGIVEN[what]
    with pytest.raises(kind, match=message):
        build(optim, name, make())
    with pytest.raises(kind, match=message):
        thalweg.Optimizer(make(), name.lower())


def test_a_set_of_parameters_is_refused() -> None:
    for given in (set(one()), frozenset(one())):
        with pytest.raises(BadType, match="set, whose order changes between runs; expected a list"):
            optim.Adam(given)


def test_errors_are_of_one_family_and_of_pythons() -> None:
    for kind, plain in ((BadValue, ValueError), (BadType, TypeError), (UnknownName, ValueError)):
        assert issubclass(kind, plain)
        assert issubclass(kind, ThalwegError)


def test_an_unknown_hyperparameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"'bta2'\. Did you mean 'beta2'\? It takes: lr, beta1"):
        thalweg.Optimizer(one(), "adam", bta2=0.9)
    with pytest.raises(UnknownName, match="SGD has no hyperparameter 'momentum'"):
        thalweg.Optimizer(one(), "sgd", momentum=0.9)
    with pytest.raises(TypeError, match="bta2"):
        optim.Adam(one(), bta2=0.9)  # type: ignore[call-arg]


@pytest.mark.parametrize("wrong", ["bta2", "betas", "weight_decay"])
def test_a_group_cannot_set_what_the_rule_does_not_have(wrong: str) -> None:
    optimizer = thalweg.Optimizer(one(), "adam")
    with pytest.raises(UnknownName, match=f"group sets '{wrong}', but Adam has no such"):
        optimizer.add_param_group({"params": one(), wrong: 0.9})
    with pytest.raises(UnknownName, match="It takes: lr, beta1, beta2, eps"):
        thalweg.Optimizer([{"params": one(), wrong: 0.9}], "adam")
    assert len(optimizer.param_groups) == 1


def test_a_group_may_carry_labels_that_are_no_settings() -> None:
    groups = [{"params": one(), "name": "backbone", "initial_lr": 0.1}]
    optimizer = thalweg.Optimizer(groups, "adam")
    assert optimizer.param_groups[0]["name"] == "backbone"


def test_an_unknown_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r"no rule 'adm'\. Did you mean 'adam'\? Known rules: sgd"
    ):
        thalweg.Optimizer(one(), "adm")


@pytest.mark.parametrize("given", [3, None, torch.optim.Adam, lambda g: g])
def test_what_is_no_rule_is_refused(given: Any) -> None:
    with pytest.raises(BadType, match=f"rule is {type(given).__name__} .*a name such as 'adam'"):
        thalweg.Optimizer(one(), given)


def test_an_illegal_hyperparameter_of_a_rule_is_refused() -> None:
    with pytest.raises(BadValue, match="lr=-1.0 is outside its legal range"):
        thalweg.Optimizer(one(), "adam", lr=-1.0)
    with pytest.raises(BadValue, match="beta1=1.0 is outside its legal range"):
        thalweg.Optimizer([{"params": one(), "beta1": 1.0}], "adam")


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adadelta"])
def test_an_eps_that_vanishes_in_the_parameters_dtype_is_warned_of(name: str) -> None:
    half = [leaf(torch.ones(3, dtype=torch.float16))]
    with pytest.warns(UserWarning, match=rf"^{name}: eps=1e-08 is zero in torch.float16.*eps >= 6"):
        build(optim, name, half, eps=1e-8)
    with pytest.warns(UserWarning, match="eps=1e-08 is zero"):
        build(optim, name, [{"params": one()}, {"params": iter(half), "eps": 1e-8}], eps=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(optim, name, half, eps=1e-4)
        build(optim, name, one(), eps=1e-8)
        build(optim, name, [leaf(torch.ones(3, dtype=torch.bfloat16))], eps=1e-8)
        build(optim, name, one(), eps=0.0)


def trained(**options: Any) -> tuple[Any, list[Tensor]]:
    """Return Adam with momentum behind it on two parameters, each with a gradient.

    They have two dtypes, so that a step is two launches, the second of which may be refused.
    """
    params = [leaf(torch.ones(4)), leaf(torch.ones(2, 3, dtype=torch.float64))]
    optimizer = thalweg.Optimizer(params, "adam", lr=0.1, **options)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.step()
    return optimizer, params


def everything(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    """Return copies of all that a step may change."""
    state = [v for entry in optimizer.state.values() for v in entry.values()]
    return [each.detach().clone() for each in (*params, *state)]


class Elsewhere(nn.Parameter):
    """A parameter whose gradient says that it is on another device."""

    @property
    def grad(self) -> Any:  # type: ignore[override]
        return torch.ones(self.shape, device="meta")


def put_sparse_entries(params: list[Tensor]) -> None:
    params[1].grad = torch.eye(2, 3, dtype=params[1].dtype).to_sparse()


def put_rows(params: list[Tensor], *indices: int) -> None:
    values = torch.ones(len(indices), 3, dtype=params[1].dtype)
    places = torch.tensor([indices])
    params[1].grad = torch.sparse_coo_tensor(places, values, (2, 3), check_invariants=False)


def put_misshapen(params: list[Tensor]) -> None:
    params[1].grad = None
    kept = params[1].data
    params[1].data = kept.new_ones(5)
    params[1].grad = kept.new_ones(5)
    params[1].data = kept


MISFITS: dict[str, tuple[Callable[[list[Tensor]], None], type[Exception], str]] = {
    "sparse entries": (
        put_sparse_entries,
        BadType,
        r"\(2, 3\) is sparse in 2 dimensions; expected 1, that is whole rows",
    ),
    "a row beyond the last": (
        lambda params: put_rows(params, 2),
        BadValue,
        r"\(2, 3\) names row 2; expected rows from 0 to 1",
    ),
    "a row before the first": (
        lambda params: put_rows(params, 1, -1),
        BadValue,
        "names row -1; expected rows",
    ),
    "another shape": (put_misshapen, BadValue, r"shape \(2, 3\) .*has a gradient of shape \(5,\)"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_gradient_that_does_not_fit_is_refused_and_nothing_moves(what: str) -> None:
    put, kind, message = MISFITS[what]
    optimizer, params = trained()
    before = everything(optimizer, params)
    put(params)
    for _ in range(2):
        with pytest.raises(kind, match=message):
            optimizer.step()
    assert_same_bits(everything(optimizer, params), before)
    params[1].grad = torch.ones_like(params[1]).detach()
    optimizer.step()
    untroubled, others = trained()
    untroubled.step()
    assert_same_bits(everything(optimizer, params), everything(untroubled, others))


@pytest.mark.parametrize("what", MISFITS)
@pytest.mark.parametrize("name", EVERY)
def test_a_first_gradient_that_does_not_fit_begins_no_state(name: str, what: str) -> None:
    put, kind, message = MISFITS[what]
    params = [leaf(torch.ones(4)), leaf(torch.ones(2, 3))]
    optimizer = build(optim, name, params, lr=0.1)
    begun = len(everything(optimizer, params))
    params[0].grad = torch.ones(4)
    put(params)
    with pytest.raises(kind, match=message):
        optimizer.step()
    assert len(everything(optimizer, params)) == begun
    assert torch.equal(params[0], torch.ones(4))


def test_a_gradient_on_another_device_is_refused() -> None:
    p, other = Elsewhere(torch.ones(3)), leaf(torch.ones(2))
    optimizer = optim.SGD([other, p], lr=1.0)
    other.grad = torch.ones(2)
    with pytest.raises(
        BadValue, match=r"on cpu has a gradient of shape \(3,\) on meta\. Move both"
    ):
        optimizer.step()
    assert torch.equal(other, torch.ones(2))


def test_a_policy_for_bad_gradients_must_exist() -> None:
    with pytest.raises(
        BadValue, match="nonfinite='ignore'; expected one of propagate, skip, raise"
    ):
        thalweg.Optimizer(one(), "adam", nonfinite="ignore")


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
def test_bad_gradients_propagate_unless_told_otherwise(bad: float) -> None:
    optimizer, params = trained()
    params[0].grad = torch.tensor([1.0, bad, 1.0, 1.0])
    optimizer.step()
    assert torch.isfinite(params[0]).tolist() == [True, False, True, True]
    assert torch.isfinite(params[1]).all()
    assert optimizer.skipped_steps == 0


@pytest.mark.parametrize("bad", BAD)
def test_a_step_with_bad_gradients_is_skipped_and_counted(bad: float) -> None:
    optimizer, params = trained(nonfinite="skip")
    before = everything(optimizer, params)
    params[0].grad = torch.tensor([1.0, bad, 1.0, 1.0])
    assert optimizer.step(lambda: 2.5) == 2.5
    optimizer.step()
    assert_same_bits(everything(optimizer, params), before)
    assert optimizer.skipped_steps == 2
    params[0].grad = torch.ones(4)
    optimizer.step()
    untroubled, others = trained()
    untroubled.step()
    assert_same_bits(everything(optimizer, params), everything(untroubled, others))
    assert optimizer.skipped_steps == 2


@pytest.mark.parametrize("bad", BAD)
def test_a_step_with_bad_gradients_raises_and_names_the_parameters(bad: float) -> None:
    optimizer, params = trained(nonfinite="raise")
    before = everything(optimizer, params)
    params[1].grad = torch.full_like(params[1], bad).detach()
    with pytest.raises(BadValue, match=r"parameters 1 \(counted .*nothing was updated.*\"skip\""):
        optimizer.step()
    assert_same_bits(everything(optimizer, params), before)
    assert optimizer.skipped_steps == 0


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_a_first_step_with_bad_gradients_begins_no_state(policy: str) -> None:
    """So that the next gradient is the first, which starts the buffer of momentum undampened."""
    params = [leaf(torch.ones(4))]
    optimizer = thalweg.Optimizer(params, "momentum", lr=0.1, dampening=0.5, nonfinite=policy)
    params[0].grad = torch.full((4,), math.nan)
    try:
        optimizer.step()
    except BadValue:
        assert policy == "raise"
    assert not optimizer.state
    params[0].grad = torch.ones(4)
    optimizer.step()
    assert torch.equal(optimizer.state[params[0]]["momentum_buffer"], torch.ones(4))


def test_missing_gradients_are_not_bad_ones() -> None:
    optimizer, params = trained(nonfinite="raise")
    params[0].grad = None
    before = params[1].detach().clone()
    optimizer.step()
    assert not torch.equal(params[1], before)


def test_a_step_without_any_gradient_does_nothing() -> None:
    for name in EVERY:
        optimizer = build(optim, name, one())
        optimizer.step()
        assert torch.equal(optimizer.param_groups[0]["params"][0], torch.ones(3))
