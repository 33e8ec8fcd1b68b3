"""Every problem and every surface keeps the public contract, and the contract catches lies."""

import dataclasses
import os
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from thalweg import problems
from thalweg.errors import BadValue
from thalweg.problems import Problem, Split, surfaces
from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.surfaces import Critical, quadratic, ravine
from thalweg.testing import check_problem, check_surface

_SHARED = Path(__file__).parents[3] / "shared" / "data"
_NEEDS = {
    "mnist": "mnist.npz",
    "cifar10": "cifar10_14k.npz",
    "char_lstm": "tinyshakespeare.txt",
    "char_transformer": "tinyshakespeare.txt",
    "sparse_text": "tinyshakespeare.txt",
}
_SURFACES = [
    *surfaces.catalogue.values(),
    quadratic([0.5, 1.0, 30.0]),
    quadratic([-3.0, -1.0]),
    quadratic([0.0, 1.0]),
    ravine(1e4),
]


@pytest.fixture
def problem(request, monkeypatch):
    name = request.param
    folder = Path(os.environ.get("THALWEG_DATA") or _SHARED)
    if name in _NEEDS and not (folder / _NEEDS[name]).is_file():
        pytest.skip(f"needs {_NEEDS[name]} in THALWEG_DATA or {_SHARED}")
    monkeypatch.setenv("THALWEG_DATA", str(folder))
    return _loaded(name)


@cache
def _loaded(name):
    return problems.load(name)


@pytest.mark.parametrize("problem", problems.catalogue, indirect=True)
def test_problem_contract(problem):
    for check in check_problem(problem):
        check()


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{surface.description}: {check}")
        for surface in _SURFACES
        for check in check_surface(surface)
    ],
)
def test_surface_contract(check):
    check()


def _broken(checks):
    broken = set()
    for check in checks:
        try:
            check()
        except (AssertionError, BadValue):
            broken.add(check.name)
    return broken


def _points(seed, shift=0.0):
    noise = torch.Generator().manual_seed(seed)
    return Split(shift + torch.randn(90, 4, generator=noise), torch.arange(90) % 3)


def _honest():
    return Problem(
        name="points",
        description="Points without a pattern",
        make_model=perceptron(4, 3),
        train=_points(0),
        validation=_points(1),
        test=None,
        loss=cross_entropy,
        batch_size=30,
        epochs=1,
        known=known(4, 3),
    )


def test_an_honest_problem_breaks_no_promise():
    assert _broken(check_problem(_honest())) == set()


def test_the_contract_catches_a_problem_that_lies():
    shared = torch.nn.Linear(4, 3)

    def make_model(seed):
        torch.rand(1)
        return shared

    stated = {"parameters": 16, "guess_loss": 1.0, "guess_accuracy": 0.5}
    liar = dataclasses.replace(_honest(), make_model=make_model, known=stated, epochs=0)
    assert _broken(check_problem(liar)) == {
        "its data are whole finite and fit the model",
        "its models are their own",
        "its models leave torchs random state alone",
        "its number of parameters is as stated",
        "its guess has the loss stated",
        "its guess is right as often as stated",
        "its budget is possible",
    }


def test_the_contract_catches_validation_inputs_scaled_by_themselves():
    scale = problems.fit_scaling(_points(0).inputs)
    train = _points(0)._replace(inputs=scale(_points(0).inputs))
    shifted = dataclasses.replace(_honest(), train=train, validation=_points(1, 9))
    assert _broken(check_problem(shifted)) == {"its inputs are scaled by the training set alone"}


def test_the_contract_catches_a_model_without_seed():
    def make_model(seed):
        torch.seed()
        return torch.nn.Linear(4, 3)

    with torch.random.fork_rng():
        broken = _broken(check_problem(dataclasses.replace(_honest(), make_model=make_model)))
    assert "its models are equal for equal seeds" in broken


def test_the_contract_catches_a_surface_that_lies():
    liar = dataclasses.replace(
        quadratic([1.0, 4.0]),
        optimum=(1.0, 0.0),
        known={"L": 5.0, "mu": 1.0, "condition": 5.0},
        critical=(Critical((0.0, 1.0), "saddle", 7.0),),
    )
    assert _broken(check_surface(liar)) == {
        "its gradient is zero where stated",
        "its critical points are of the kind stated",
        "its critical points have the value stated",
        "its optimum is a lowest point",
        "its curvature stays within what is stated",
    }
