from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import LabelBatch, Neighbours, Step, Validation
from watched import net, points

CHECK = find_check("GD503")
FALLING = tuple(np.linspace(0.7, 0.1, 60))
STUCK = (0.7,) * 60
GUESSED = Neighbours(256, 0.51, 0.5, 0.52, 0.5)


def trained(labels: Tensor, model: nn.Module, inputs: Tensor) -> Evidence:
    optimizer, loss_fn = torch.optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    batches = torch.Generator().manual_seed(1)
    with watch(model, optimizer, loss_fn, overhead=0, at_exit=20.0) as watching:
        for step in range(60):
            rows = torch.randint(1500, (64,), generator=batches)
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            if step % 20 == 19:
                with torch.no_grad():
                    loss_fn(model(inputs[1500:]), labels[1500:])
    return watching.evidence


def seen(found: Neighbours, losses: tuple[float, ...], *accuracies: float) -> Evidence:
    return Evidence(
        neighbours=found,
        steps=[Step(k + 1, loss) for k, loss in enumerate(losses)],
        labels=[LabelBatch(k + 1, (0, 1) * 8) for k in range(20)],
        validations=[Validation(60, 0.7, accuracy=each) for each in accuracies],
    )


def shuffled(labels: Tensor) -> Tensor:
    return labels[torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))]


def test_labels_of_other_examples_are_an_error() -> None:
    inputs, labels = points(2000)
    (found,) = CHECK(trained(shuffled(labels), net(), inputs))
    assert (found.code, found.severity) == ("GD503", "error")
    assert not CHECK(trained(labels, net(), inputs))


def test_labels_that_only_many_examples_together_tell_are_left_alone() -> None:
    inputs, _ = points(2000, 64)
    labels = (inputs @ torch.randn(64, generator=torch.Generator().manual_seed(5)) > 0).long()
    evidence = trained(labels, net(64), inputs)
    assert evidence.neighbours is not None
    assert evidence.neighbours.told is not None
    assert evidence.neighbours.told > 0.65
    assert not CHECK(replace(evidence, validations=(), steps=seen(GUESSED, STUCK).steps))


class Reader(nn.Module):
    """Tells the class of a sentence of tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens).mean(1))


def test_sentences_of_tokens_tell_their_class_unless_labels_are_shuffled() -> None:
    tokens = torch.randint(20, (2000, 6), generator=torch.Generator().manual_seed(2))
    labels = ((tokens < 10).sum(1) > 3).long()
    assert CHECK(trained(shuffled(labels), Reader(), tokens))
    assert not CHECK(trained(labels, Reader(), tokens))


def test_what_holds_for_other_examples_was_learned() -> None:
    assert CHECK(seen(GUESSED, FALLING, 0.5, 0.52))
    assert not CHECK(seen(GUESSED, FALLING, 0.5, 0.8))


def test_without_a_validation_only_a_loss_that_stayed_counts() -> None:
    assert CHECK(seen(GUESSED, STUCK))
    assert not CHECK(seen(GUESSED, FALLING))


@pytest.mark.parametrize("better", [{"agreement": 0.7}, {"told": 0.7}, {"examples": 40}])
def test_classes_that_are_told_or_too_few_are_left_alone(better: dict[str, Any]) -> None:
    assert not CHECK(seen(replace(GUESSED, **better), STUCK))
