"""`examine` trains a problem under watch and says what is wrong with it."""

import math
import warnings

import pytest
import torch
from torch import nn

from thalweg import problems
from thalweg.doctor import examine
from thalweg.doctor.plain import as_data
from thalweg.errors import BadValue, UnknownName
from thalweg.problems import Problem, Split
from watched import net, points


def problem(**changes: object) -> Problem:
    given = {
        "name": "points", "description": "Two halves of a plane.",
        "make_model": lambda seed: net(), "train": Split(*points()), "validation": None,
        "test": None, "loss": nn.functional.cross_entropy, "batch_size": 32, "epochs": 4,
        "known": {}, "threads": 1,
    }  # fmt: skip
    return Problem(**{**given, **changes})  # type: ignore[arg-type]


def test_a_healthy_problem_is_said_to_be_healthy() -> None:
    found = examine(problem(), lr=0.01)
    assert found.diagnosis.healthy
    assert found.report().startswith("healthy: nothing wrong was found after 32 updates.")
    assert found.evidence.curvature is not None
    assert found.evidence.labels[0].classes


def test_its_first_loss_is_that_of_its_first_batch() -> None:
    first = examine(problem(), lr=0.01, epochs=1).evidence.losses.values[0]
    assert 0.4 < first < 1.0


def test_passes_over_held_out_data_are_validations() -> None:
    inputs, labels = points(352)
    train, rest = Split(inputs[:256], labels[:256]), Split(inputs[256:], labels[256:])
    found = examine(problem(train=train, validation=rest), lr=0.01, epochs=3).evidence
    assert [each.examples for each in found.validations][-3:] == [96, 96, 96]
    assert [each.step for each in found.validations][-3:] == [8, 16, 24]


def test_a_rate_far_too_large_is_found() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = examine(problem(), rule="sgd", lr=1e4)
    assert not found.diagnosis.healthy


def test_it_ends_after_the_epoch_in_which_the_seconds_are_over() -> None:
    assert examine(problem(epochs=1000), lr=0.01, seconds=0.0).evidence.updates == 8


def test_what_cannot_be_examined_is_refused() -> None:
    with pytest.raises(UnknownName):
        examine("digit")
    with pytest.raises(UnknownName):
        examine("digits", rule="sdg")
    with pytest.raises(BadValue):
        examine(problem(), seconds=-1.0)


def test_a_problem_with_a_gradient_of_its_own_is_examined_without_its_curvature() -> None:
    found = examine(problems.load("rbm"), epochs=1).evidence
    assert "writes its gradient itself" in (found.lacks("curvature") or "")
    assert found.probes


def test_a_diagnosis_is_plain_data() -> None:
    data = as_data(examine(problem(), rule="sgd", lr=1e4).diagnosis)
    assert data["healthy"] is False
    assert {"code", "severity", "change", "sentence"} <= set(data["findings"][0])
    assert not any(isinstance(each, float) and not math.isfinite(each) for each in _leaves(data))
    assert torch.is_grad_enabled()


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]
