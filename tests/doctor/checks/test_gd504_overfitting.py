import numpy as np
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import Step, Validation
from watched import points

CHECK = find_check("GD504")
FALLING = tuple(np.linspace(1.0, 0.1, 80))


def evidence(validation: list[float], training: tuple[float, ...] = FALLING) -> Evidence:
    apart = len(training) // len(validation)
    return Evidence(
        steps=[Step(k + 1, loss) for k, loss in enumerate(training)],
        validations=[Validation(apart * (k + 1), loss) for k, loss in enumerate(validation)],
    )


def trained(examples: int) -> Evidence:
    """The evidence of a wide network on some points of which a fifth has a wrong label."""
    torch.manual_seed(0)
    inputs, labels = points(1000)
    labels = torch.where(torch.rand(1000) < 0.2, 1 - labels, labels)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer, loss_fn = torch.optim.Adam(model.parameters(), lr=0.02), nn.CrossEntropyLoss()
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for step in range(150):
            rows = torch.randint(examples, (32,))
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            if step % 15 == 14:
                with torch.no_grad():
                    loss_fn(model(inputs[500:]), labels[500:])
    return watching.evidence


def test_wrong_labels_learned_by_heart_are_found_with_the_moment_to_stop() -> None:
    (found,) = CHECK(trained(32))
    assert found.code == "GD504"
    assert found.step is not None
    assert found.step < 75
    assert found.change == f"updates=150 → {found.step}: stop early, and keep the best weights"


def test_more_examples_of_the_same_are_left_alone() -> None:
    assert not CHECK(trained(500))


def test_a_loss_that_rose_to_twice_the_lowest_is_an_error() -> None:
    (found,) = CHECK(evidence([0.9, 0.6, 0.8, 0.9]))
    assert (found.severity, found.step) == ("warning", 40)
    (worse,) = CHECK(evidence([0.9, 0.6, 1.3, 1.4]))
    assert worse.severity == "error"


def test_a_loss_that_is_level_or_rises_little_or_once_is_left_alone() -> None:
    assert not CHECK(evidence([0.9, 0.6, 0.65, 0.7]))
    assert not CHECK(evidence([0.9, 0.6, 0.9, 0.61]))
    assert not CHECK(evidence([2.3, 0.05, 0.07, 0.08], (2.3, *FALLING)))


def test_a_training_loss_that_rises_as_well_is_another_disease() -> None:
    assert not CHECK(evidence([0.9, 0.6, 0.8, 0.9], (*FALLING[::2], *FALLING[::-2])))
