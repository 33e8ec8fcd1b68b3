"""Checkpoints go from torch to us and back, keep their precision, and are refused whole or not."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from twins import (
    CASES,
    NAMES,
    Case,
    assert_same_bits,
    assert_same_place,
    build,
    label,
    leaf,
    parameters,
    ready,
    train,
)

import thalweg
from thalweg import optim
from thalweg.errors import BadType, BadValue
from thalweg.rules import adam, chain, clip_by_value, decay, ema_average, find

STATEFUL = [case for case in CASES if case[1].get("maximize") is not True]


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    """Return *saved* after torch.save and the strict torch.load."""
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def moved(sources: list[Any], case: Case, steps: int = 6) -> list[Tensor]:
    """Train in each of *sources* in turn, handing a checkpoint on; return the parameters.

    torch keeps NAdam's running product in float32, but gives it the parameter's dtype on loading;
    it is given back its own, so that a path does not depend on where it was interrupted.
    """
    name, options = case
    params = parameters()
    saved: dict[str, Any] | None = None
    for leg, source in enumerate(sources):
        optimizer = build(source, name, params, **options)
        if saved is not None:
            optimizer.load_state_dict(saved)
        for entry in optimizer.state.values():
            if "mu_product" in entry:
                entry["mu_product"] = entry["mu_product"].float()
        train(optimizer, params, range(leg * steps, (leg + 1) * steps))
        saved = through_a_file(optimizer.state_dict())
    return params


@pytest.mark.parametrize("case", STATEFUL, ids=label)
def test_a_run_may_change_between_torch_and_us_at_any_checkpoint(case: Case) -> None:
    name, options = case
    straight, theirs = ready(name, torch.optim, **options)
    travelled = train(straight, theirs, range(24))
    ours = moved([torch.optim, optim, torch.optim, optim], case)
    assert_same_place(ours, theirs, travelled)


@pytest.mark.parametrize("case", STATEFUL, ids=label)
def test_stopping_and_going_on_gives_the_bits_of_never_stopping(case: Case) -> None:
    name, options = case
    straight, params = ready(name, **options)
    train(straight, params, range(24))
    resumed = moved([optim] * 4, case)
    assert_same_bits(resumed, params)


def layout(value: Any) -> Any:
    """Return keys, shapes, dtypes and numbers of a checkpoint, in order, without state's values."""
    if isinstance(value, dict):
        return {key: layout(each) for key, each in value.items()}
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.requires_grad, value.device
    return [layout(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=label)
@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_checkpoint_is_laid_out_as_torchs(case: Case, steps: int) -> None:
    name, options = case
    found = []
    for source in (torch.optim, optim):
        optimizer, params = ready(name, source, **options)
        train(optimizer, params, range(steps))
        found.append(optimizer.state_dict())
    theirs, ours = found
    assert layout(ours) == layout(theirs)
    assert list(ours) == list(theirs)
    assert all(type(entry) is dict for entry in ours["state"].values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "Adagrad"])
def test_state_has_the_dtype_torch_gives_it(name: str, dtype: torch.dtype) -> None:
    found = []
    for source in (torch.optim, optim):
        p = leaf(torch.ones(3, dtype=dtype))
        options = {"momentum": 0.9} if name == "SGD" else {"eps": 1e-3}
        optimizer = build(source, name, [p], **options)
        p.grad = torch.ones_like(p)
        optimizer.step()
        found.append(layout(optimizer.state_dict()["state"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_saving_during_a_run_leaves_it_alone(name: str) -> None:
    watched, params = ready(name)
    alone, others = ready(name)
    for step in range(6):
        train(watched, params, range(step, step + 1))
        saved = copy.deepcopy(watched.state_dict())
        assert len(saved["param_groups"]) == 1
    train(alone, others, range(6))
    assert_same_bits(params, others)


def test_a_loaded_checkpoint_is_a_copy() -> None:
    first, params = ready("Adam")
    train(first, params, range(3))
    saved = first.state_dict()
    kept = copy.deepcopy(saved)
    second = optim.Adam(params)
    second.load_state_dict(saved)
    train(second, params, range(3, 6))
    second.param_groups[0]["lr"] = 7.0
    assert layout(saved) == layout(kept)
    assert_same_bits(tensors(saved), tensors(kept))
    assert all("exp_avg" in entry for entry in first.state.values())


def tensors(saved: dict[str, Any]) -> list[Tensor]:
    """Return every tensor of a checkpoint in order."""
    return [v for entry in saved["state"].values() for v in entry.values() if v is not None]


WIDER = [(torch.float32, torch.float64), (torch.bfloat16, torch.float32)]


@pytest.mark.parametrize(("low", "high"), WIDER)
def test_loading_never_takes_precision_away(low: torch.dtype, high: torch.dtype) -> None:
    exact = leaf(torch.linspace(-1, 1, 7, dtype=high))
    wide = optim.Adam([exact], eps=1e-3)
    exact.grad = torch.linspace(-3, 3, 7, dtype=high) / 7
    wide.step()
    rounded = leaf(exact.detach().to(low))
    narrow = optim.Adam([rounded], eps=1e-3)
    narrow.load_state_dict(wide.state_dict())
    for slot in ("exp_avg", "exp_avg_sq"):
        assert narrow.state[rounded][slot].dtype == high
        assert torch.equal(narrow.state[rounded][slot], wide.state[exact][slot])
    g = torch.linspace(2, -2, 7, dtype=low)
    rounded.grad, exact.grad = g, g.to(high)
    narrow.step()
    wide.step()
    assert narrow.state[rounded]["exp_avg"].dtype == high
    torch.testing.assert_close(narrow.state[rounded]["exp_avg"], wide.state[exact]["exp_avg"])
    assert float(narrow.state[rounded]["step"]) == 2


def test_narrow_state_is_widened_to_its_parameter() -> None:
    narrow = leaf(torch.ones(3))
    first = optim.Adam([narrow])
    narrow.grad = torch.tensor([1.0, 2.0, 3.0])
    first.step()
    p = leaf(narrow.detach().double())
    second = optim.Adam([p])
    second.load_state_dict(first.state_dict())
    assert second.state[p]["exp_avg"].dtype == torch.float64
    assert torch.equal(second.state[p]["exp_avg"], first.state[narrow]["exp_avg"].double())


def test_state_takes_the_memory_order_of_its_parameter() -> None:
    """A checkpoint written from contiguous memory continues with the same numbers elsewhere."""
    plain = leaf(torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1)).double())
    first = optim.Adam([plain])
    plain.grad = plain.detach() ** 2
    first.step()
    lasting = leaf(plain.detach().to(memory_format=torch.channels_last))
    second = optim.Adam([lasting])
    second.load_state_dict(first.state_dict())
    for optimizer, p in ((first, plain), (second, lasting)):
        p.grad = p.detach() - 1
        optimizer.step()
    assert torch.equal(plain, lasting)


def test_steps_saved_as_numbers_are_read() -> None:
    """Old torch saved the step as an int."""
    first, params = ready("Adam")
    train(first, params, range(9))
    saved = copy.deepcopy(first.state_dict())
    for entry in saved["state"].values():
        entry["step"] = int(entry["step"])
    others = [leaf(p.detach().clone()) for p in params]
    second = optim.Adam(others)
    second.load_state_dict(saved)
    train(first, params, range(9, 12))
    train(second, others, range(9, 12))
    assert_same_bits(params, others)


def test_settings_of_the_checkpoint_win_and_scheduler_keys_come_along() -> None:
    first = torch.optim.Adam(parameters(), lr=0.1, betas=(0.5, 0.6), amsgrad=True)
    torch.optim.lr_scheduler.StepLR(first, 3)
    second = optim.Adam(parameters(), lr=0.7)
    second.load_state_dict(first.state_dict())
    (group,) = second.param_groups
    assert group["lr"] == 0.1
    assert group["betas"] == (0.5, 0.6)
    assert group["amsgrad"] is True
    assert group["initial_lr"] == 0.1


def test_older_checkpoints_without_newer_switches_load() -> None:
    first, params = ready("AdamW", torch.optim)
    train(first, params, range(9))
    saved = copy.deepcopy(first.state_dict())
    for key in ("maximize", "foreach", "capturable", "fused", "decoupled_weight_decay"):
        del saved["param_groups"][0][key]
    others = [leaf(p.detach().clone()) for p in params]
    second = optim.AdamW(others)
    second.load_state_dict(saved)
    travelled = train(first, params, range(9, 12))
    train(second, others, range(9, 12))
    assert_same_place(others, params, travelled)
    assert second.param_groups[0]["maximize"] is False


def test_a_chain_is_saved_with_all_it_keeps() -> None:
    rule = thalweg.chain(clip_by_value, adam, ema_average)

    def run(breaks: tuple[int, ...]) -> list[Tensor]:
        params = parameters()
        optimizer = thalweg.Optimizer(params, rule, lr=0.1)
        for start in range(0, 12, 3):
            if start in breaks:
                saved = through_a_file(optimizer.state_dict())
                optimizer = thalweg.Optimizer(params, rule)
                optimizer.load_state_dict(saved)
            train(optimizer, params, range(start, start + 3))
        return params + [entry["average"] for entry in optimizer.state.values()]

    assert_same_bits(run(breaks=(3, 9)), run(breaks=()))


def one_step(kind: Callable[..., Any], *sizes: int, **options: Any) -> Any:
    """Return an optimizer that has made one step on parameters of *sizes*."""
    params = [leaf(torch.ones(n)) for n in sizes]
    optimizer = kind(params, **options)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    return optimizer


def without(saved: dict[str, Any], name: str) -> dict[str, Any]:
    saved = copy.deepcopy(saved)
    del saved["state"][0][name]
    return saved


def with_extra(saved: dict[str, Any], name: str) -> dict[str, Any]:
    saved = copy.deepcopy(saved)
    saved["state"][0][name] = torch.zeros(3)
    return saved


def saved_by(name: str, *sizes: int, **options: Any) -> dict[str, Any]:
    return one_step(getattr(torch.optim, name), *(sizes or (3, 2)), **options).state_dict()


MISFITS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no checkpoint": (lambda: {"model": 1}, BadType, "'state' and 'param_groups'"),
    "not a dict": (lambda: 5, BadType, "'state' and 'param_groups'"),
    "one parameter less": (lambda: saved_by("Adam", 3), BadValue, "as it was when saved"),
    "two groups": (
        lambda: {"state": {}, "param_groups": saved_by("Adam")["param_groups"] * 2},
        BadValue,
        "as it was when saved",
    ),
    "another shape": (lambda: saved_by("Adam", 3, 4), BadValue, "parameter 1: exp_avg has shape"),
    "another order": (lambda: saved_by("Adam", 2, 3), BadValue, "another order"),
    "a name missing": (lambda: without(saved_by("Adam"), "exp_avg"), BadValue, "keeps exp_avg"),
    "a step missing": (lambda: without(saved_by("Adam"), "step"), BadValue, "keeps exp_avg"),
    "a name too much": (
        lambda: with_extra(saved_by("Adam"), "sum"),
        BadValue,
        "step, sum; .*Adam keeps",
    ),
    "AdamW": (lambda: saved_by("AdamW"), BadValue, "decoupled_weight_decay=True"),
    "RAdam": (lambda: saved_by("RAdam"), BadValue, "lacks amsgrad"),
    "RMSprop": (lambda: saved_by("RMSprop"), BadValue, "another rule"),
    "RMSprop, begun nowhere": (
        lambda: torch.optim.RMSprop([leaf(torch.ones(3)), leaf(torch.ones(2))]).state_dict(),
        BadValue,
        "another rule",
    ),
    "Adagrad": (lambda: saved_by("Adagrad"), BadValue, "another rule"),
    "a rule's own face": (
        lambda: one_step(thalweg.Optimizer, 3, 2, rule="adam").state_dict(),
        BadValue,
        "lacks betas",
    ),
    "an illegal setting": (lambda: saved_by("Adam", lr=1e400) | negative_lr(), BadValue, "lr=-1.0"),
    "state that is no tensor": (lambda: textual(saved_by("Adam")), BadType, "expected a tensor"),
    "a step of many": (lambda: long_step(saved_by("Adam")), BadValue, "expected one number"),
}


def negative_lr() -> dict[str, Any]:
    groups = saved_by("Adam")["param_groups"]
    return {"param_groups": [{**groups[0], "lr": -1.0}]}


def textual(saved: dict[str, Any]) -> dict[str, Any]:
    saved["state"][1]["exp_avg"] = "zeros"
    return saved


def long_step(saved: dict[str, Any]) -> dict[str, Any]:
    saved["state"][1]["step"] = torch.zeros(4)
    return saved


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_misfit_is_refused_before_anything_changes(misfit: str) -> None:
    make, kind, message = MISFITS[misfit]
    refusing, untouched = (one_step(optim.Adam, 3, 2, lr=0.2, betas=(0.8, 0.9)) for _ in range(2))
    saved = make()
    with pytest.raises(kind, match=message):
        refusing.load_state_dict(saved)
    assert layout(refusing.state_dict()) == layout(untouched.state_dict())
    assert_same_bits(tensors(refusing.state_dict()), tensors(untouched.state_dict()))
    for optimizer in (refusing, untouched):
        optimizer.step()
    assert_same_bits(refusing.param_groups[0]["params"], untouched.param_groups[0]["params"])


ALIKE = [("Adam", "AdamW"), ("AdamW", "Adam"), ("Adam", "RAdam"), ("NAdam", "Adam"),
         ("Adam", "Adamax"), ("RMSprop", "Adadelta"), ("SGD", "SGDW"), ("SGDW", "SGD")]  # fmt: skip


@pytest.mark.parametrize(("saver", "loader"), ALIKE)
def test_rules_that_look_alike_refuse_each_other(saver: str, loader: str) -> None:
    options = {"momentum": 0.9} if saver == "SGD" else {}
    saved = one_step(getattr(optim, saver), 3, **options).state_dict()
    with pytest.raises(BadValue, match=f"^{loader}: .*saved"):
        getattr(optim, loader)([leaf(torch.ones(3))]).load_state_dict(saved)


def test_a_rule_refuses_the_checkpoint_of_another() -> None:
    saved = one_step(thalweg.Optimizer, 3, rule="adam").state_dict()
    for other in ("radam", "amsgrad", "adamw", "sgd"):
        optimizer = thalweg.Optimizer([leaf(torch.ones(3))], other)
        with pytest.raises(BadValue, match=f"rule 'adam .*'; the optimizer runs '{other} "):
            optimizer.load_state_dict(saved)
        assert not optimizer.state


def test_sgd_without_its_buffer_starts_it_from_the_next_gradient() -> None:
    """torch's SGD keeps no step: an absent buffer is what says that the next gradient is first."""
    ends = []
    for source in (torch.optim, optim):
        p = leaf(torch.ones(3))
        first = build(source, "SGD", [p], lr=0.1, momentum=0.9, dampening=0.5)
        p.grad = torch.ones(3)
        first.step()
        saved = first.state_dict()
        saved["state"] = {0: {"momentum_buffer": None}}
        second = build(source, "SGD", [p], lr=0.1, momentum=0.9, dampening=0.5)
        second.load_state_dict(saved)
        second.step()
        ends.append(p)
    assert torch.equal(ends[0], ends[1])


def test_state_of_no_parameter_is_kept() -> None:
    """torch keeps entries that belong to no parameter, and so do we, saved and loaded."""
    first, params = ready("Adam")
    first.state["note"] = {"epoch": 3}
    first.state["epochs"] = 3
    train(first, params, range(3))
    second, _ = ready("Adam")
    second.load_state_dict(through_a_file(first.state_dict()))
    train(second, params, range(3, 5))
    for found in (second.state, second.state_dict()["state"]):
        assert found["note"] == {"epoch": 3}
        assert found["epochs"] == 3


def test_a_running_product_in_float64_stays_so_when_loaded() -> None:
    optimizer, params = ready("NAdam")
    train(optimizer, params, range(3))
    saved = optimizer.state_dict()
    precise = torch.tensor(0.1, dtype=torch.float64)
    for entry in saved["state"].values():
        entry["mu_product"] = precise.clone()
    optimizer.load_state_dict(saved)
    found = [entry["mu_product"] for entry in optimizer.state.values()]
    assert found
    assert all(torch.equal(each, precise) and each.dtype == torch.float64 for each in found)


def test_a_chain_with_other_defaults_is_the_same_rule_to_a_checkpoint() -> None:
    p = leaf(torch.ones(3))
    saved = thalweg.Optimizer([p], chain(find("adam"), decay, defaults={"lr": 0.05}))
    p.grad = torch.ones(3)
    saved.step()
    other = thalweg.Optimizer([leaf(torch.ones(3))], chain(find("adam"), decay))
    other.load_state_dict(saved.state_dict())
    assert other.param_groups[0]["lr"] == 0.05
