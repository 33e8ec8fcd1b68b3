"""A suggested learning rate is near the best of a sweep, and asking for it changes nothing."""

import copy
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import thalweg
from thalweg import optim, problems
from thalweg.doctor import suggest_lr
from thalweg.doctor.rates.subject import Learner
from thalweg.errors import BadType, BadValue, NoRate, UnknownName
from thalweg.schedules import cosine
from thalweg.training import fit
from watched import net, points

INPUTS, LABELS = points()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def final_loss(rule: str, lr: float) -> float:
    """The validation loss after the training that digits asks for."""
    problem = problems.load("digits")
    model = problem.make_model(0)
    optimizer = thalweg.Optimizer(model.parameters(), rule, lr=lr)
    with warnings.catch_warnings(action="ignore"):
        result = fit(
            model, optimizer, problem.loss, problem.train, problem.validation,
            batch=32, epochs=problem.epochs, watch=0,
        )  # fmt: skip
    last = result.history[-1].valid_loss if result.history else None
    return float("inf") if result.diverged or last is None else last


@pytest.mark.parametrize(
    ("rule", "rates"),
    [
        ("sgd", [0.03, 0.1, 0.3, 1.0, 3.0]),
        ("momentum", [0.003, 0.01, 0.03, 0.1, 0.3]),
        ("adam", [0.0003, 0.001, 0.003, 0.01, 0.03]),
    ],
)
def test_the_suggestion_is_within_a_factor_of_three_of_the_best_of_a_sweep(
    rule: str, rates: list[float]
) -> None:
    advice = suggest_lr("digits", rule=rule)
    losses = [final_loss(rule, lr) for lr in rates]
    best = rates[int(np.argmin(losses))]
    assert best / 3 <= advice.lr <= best * 3
    assert advice.low <= advice.lr <= advice.high
    assert advice.stable is not None
    assert advice.stable[0] > advice.low
    assert final_loss(rule, advice.lr) <= 1.5 * min(losses)


def normalized() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2)
    )


def everything(model: nn.Module, optimizer: Any, loader: DataLoader) -> dict[str, Any]:
    """All that asking could change, as a copy."""
    return {
        "weights": copy.deepcopy(model.state_dict()),
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "modes": [each.training for each in model.modules()],
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
        "loader": loader.generator.get_state(),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("make", [torch.optim.Adam, optim.Adam])
def test_asking_changes_nothing_bit_for_bit(make: Callable[..., Any]) -> None:
    model = normalized()
    optimizer = make(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(
        TensorDataset(INPUTS, LABELS), batch_size=32, shuffle=True, generator=generator
    )
    for inputs, targets in loader:
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    before = everything(model, optimizer, loader)
    order = [targets for _, targets in copy.deepcopy(loader)]
    suggest_lr(model, cross_entropy, loader, (INPUTS + 1, LABELS), rule=optimizer, updates=20)
    assert same(everything(model, optimizer, loader), before)
    assert same([targets for _, targets in loader], order)


@pytest.mark.parametrize("make", [torch.optim.Adam, optim.Adam])
def test_runs_begin_with_the_state_that_the_optimizer_has(make: Callable[..., Any]) -> None:
    model = net()
    optimizer = make([{"params": model[0].parameters()}, {"params": model[2].parameters()}])
    original = Learner(model, optimizer, cross_entropy)
    original.update((INPUTS, LABELS), 0.01)
    following = Learner(original.model, original.optimizer, cross_entropy)
    for each in (original, following):
        each.update((INPUTS, LABELS), 0.02)
    pairs = zip(original.model.parameters(), following.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert following.optimizer.param_groups[1]["lr"] == 0.02


def test_the_same_question_has_the_same_answer() -> None:
    first, second = (
        suggest_lr(net(), cross_entropy, (INPUTS, LABELS), rule="sgd", updates=20) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("rule", ["lion", "rprop", "adadelta", "lars", "adagrad"])
def test_other_rules_of_the_catalogue_are_answered(rule: str) -> None:
    advice = suggest_lr(net(), cross_entropy, (INPUTS, LABELS), rule=rule, updates=40)
    assert advice.rule == rule
    assert advice.low <= advice.lr <= advice.high
    assert min(advice.losses.values()) < cross_entropy(net()(INPUTS), LABELS).item()


class Used:
    """Batches that can be gone through once, and then are no more."""

    def __init__(self) -> None:
        self.batches = iter([(INPUTS[:32], LABELS[:32])])

    def __iter__(self) -> Iterator[Any]:
        return self.batches


def frozen() -> nn.Module:
    return net().requires_grad_(False)


def scheduled(model: nn.Module) -> Any:
    return optim.SGD(model.parameters(), lr=cosine(0.1, steps=10))


def still(model: nn.Module) -> Any:
    return torch.optim.SGD(model.parameters(), lr=0.0)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"loss": None}, BadType, "without loss or data"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, BadValue, "mean"),
        ({"loss": lambda out, y: cross_entropy(out, y).detach()}, BadValue, "gradient"),
        ({"loss": lambda out, y: cross_entropy(out, y) * float("nan")}, BadValue, "nan"),
        ({"loss": lambda out, y: 0 * cross_entropy(out, y)}, NoRate, "fell at no learning rate"),
        ({"loss": lambda out, y: 0 * out.sum() + 1}, NoRate, "fell at no learning rate"),
        ({"train": iter([(INPUTS, LABELS)])}, BadType, "only once"),
        ({"train": Used()}, BadValue, "yields no batch"),
        ({"train": []}, BadValue, "no batch"),
        ({"rule": "sdg"}, UnknownName, "Did you mean 'sgd'"),
        ({"hyper": {"lr": 0.1}}, BadValue, "what is to be found"),
        ({"hyper": {"momentun": 0.1}, "rule": "momentum"}, UnknownName, "momentun"),
        ({"updates": 3}, BadValue, "at least 20"),
        ({"batch": 1000}, BadValue, "batch=1,000"),
        ({"batch": 0}, BadValue, "batch=0"),
        ({"batch": False}, BadType, "batch=False"),
        ({"batch": ""}, BadType, "batch=''"),
        ({"rule": ""}, UnknownName, "there is no rule ''"),
        ({"hyper": "x"}, BadType, "hyper='x'; expected numbers by name"),
        ({"hyper": {1: 2}}, BadType, "expected numbers by name"),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    given: dict[str, Any], kind: type[Exception], message: str
) -> None:
    asked = {"loss": cross_entropy, "train": (INPUTS, LABELS), "rule": "sgd", "updates": 20}
    with pytest.raises(kind, match=message):
        suggest_lr(net(), **{**asked, **given})


@pytest.mark.parametrize("given", [{"batch": 0}, {"batch": ""}, {"rule": ""}, {"hyper": "x"}])
def test_a_problem_is_asked_about_with_nothing_that_is_empty(given: dict[str, Any]) -> None:
    with pytest.raises((BadType, BadValue, UnknownName), match="expected|there is no rule"):
        suggest_lr("digits", updates=20, **given)


@pytest.mark.parametrize(
    ("model", "make", "message"),
    [
        (frozen(), None, "requires a gradient"),
        (net(), scheduled, "is a schedule"),
        (net(), still, "expected a positive"),
    ],
)
def test_an_optimizer_without_a_rate_to_find_is_refused(
    model: nn.Module, make: Any, message: str
) -> None:
    rule = make(model) if make else "sgd"
    with pytest.raises(BadValue, match=message):
        suggest_lr(model, cross_entropy, (INPUTS, LABELS), rule=rule)
