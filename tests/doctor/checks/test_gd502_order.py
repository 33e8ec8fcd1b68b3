from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import LabelBatch, Step
from watched import net, points, sgd, train

CHECK = find_check("GD502")
RANDOM = np.random.default_rng(0)


def trained(order: torch.Tensor, batch: int = 32, epochs: int = 4) -> Evidence:
    """The evidence of a few epochs over the points in this order."""
    inputs, labels = points()
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(epochs):
            for rows in order.split(batch):
                optimizer.zero_grad()
                loss_fn(model(inputs[rows]), labels[rows]).backward()
                optimizer.step()
    return watching.evidence


def seen(batches: np.ndarray, kind: str = "classes", **step: Any) -> Evidence:
    labels = [LabelBatch(k + 1, **{kind: tuple(each)}) for k, each in enumerate(batches)]
    return Evidence(labels=labels, steps=[Step(k + 1, **step) for k in range(len(labels))])


@pytest.mark.parametrize("batch", [1, 32])
def test_classes_one_after_the_other_are_an_error(batch: int) -> None:
    (found,) = CHECK(trained(points()[1].argsort(), batch, 2 if batch == 1 else 4))
    assert (found.code, found.severity) == ("GD502", "error")
    assert "shuffle=True" in found.change
    assert found.numbers["share"] > 0.4


def test_batches_drawn_at_random_are_left_alone() -> None:
    assert not CHECK(train(steps=150).evidence)
    assert not CHECK(seen(RANDOM.integers(0, 100, (200, 4))))
    assert not CHECK(seen(RANDOM.integers(0, 2, (500, 1))))


def test_one_order_for_all_epochs_is_a_remark() -> None:
    order = torch.randperm(256, generator=torch.Generator().manual_seed(2))
    (found,) = CHECK(trained(order, epochs=5))
    assert (found.severity, found.numbers["period"]) == ("remark", 8)


def test_values_in_order_are_found_and_mixed_ones_left_alone() -> None:
    values = RANDOM.normal(size=(64, 16))
    assert not CHECK(seen(values, "values"))
    (found,) = CHECK(seen(np.sort(values.ravel()).reshape(64, 16), "values"))
    assert "of the value of an example" in found.sentence


def test_a_first_class_longer_than_the_first_batches_shows_later_or_not_at_all() -> None:
    sorted_by_class = np.repeat([0, 1, 2], [80, 40, 40])[:, None].repeat(8, 1)
    assert CHECK(seen(sorted_by_class))
    (alone,) = CHECK(seen(sorted_by_class[:80]))
    assert "All 640 training examples" in alone.sentence
    assert not CHECK(seen(sorted_by_class[:80], backwards=2))


def test_labels_of_many_places_count_once_an_example() -> None:
    images = RANDOM.integers(0, 2, (64, 4)).repeat(100, 1)
    assert CHECK(seen(images[:, :100]))
    assert not CHECK(seen(images, examples=4))
