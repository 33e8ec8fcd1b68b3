"""What is seen of batches: inputs, labels, accuracy, leftovers, and gradients that turn around."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Evidence, Watch
from thalweg.doctor.evidence import LabelBatch
from thalweg.doctor.watching.labels import Labels
from thalweg.doctor.watching.targets import label_batch
from watched import net, points, train

Loss = Callable[[Tensor, Tensor], Tensor]


def loop(loss: Loss, loss_fn: Any = None, steps: int = 3, clear: bool = True) -> Evidence:
    """The evidence of a few updates on the same first rows, by a loss that is no module."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, labels = points()
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watch:
        for _ in range(steps):
            if clear:
                optimizer.zero_grad()
            loss(model(inputs[:32]), labels[:32]).backward()
            optimizer.step()
    return watch.evidence


def test_inputs_are_described_feature_by_feature() -> None:
    found = train(overhead=1e9, steps=20).evidence.inputs
    rows = torch.Generator().manual_seed(1)
    drawn = torch.cat([torch.randint(256, (32,), generator=rows) for _ in range(20)])
    seen = points()[0][drawn].double()
    assert found is not None
    assert found.examples == 640
    assert found.names == [f"feature {k}" for k in range(4)]
    assert found.mean == pytest.approx(seen.mean(0).numpy(), abs=1e-6)
    assert found.std == pytest.approx(seen.std(0, correction=0).numpy(), rel=1e-6)
    assert found.low == pytest.approx(seen.amin(0).numpy())
    assert found.high == pytest.approx(seen.amax(0).numpy())


def test_labels_and_accuracy_are_seen_through_a_loss_module() -> None:
    evidence = train(overhead=1e9, steps=4).evidence
    rows = torch.Generator().manual_seed(1)
    first = points()[1][torch.randint(256, (32,), generator=rows)]
    assert [each.step for each in evidence.labels] == [1, 2, 3, 4]
    assert evidence.labels[0].classes == tuple(first.tolist())
    assert evidence.probes[0].accuracy is not None
    assert 0 <= evidence.probes[0].accuracy <= 1


@pytest.mark.parametrize("loss_fn", [None, F.cross_entropy])
def test_labels_and_accuracy_are_seen_where_the_loss_is_a_function(loss_fn: Any) -> None:
    inputs, labels = points()
    evidence = loop(F.cross_entropy, loss_fn)
    with torch.no_grad():
        right = (net()(inputs[:32]).argmax(1) == labels[:32]).float().mean()
    assert evidence.labels[0].classes == tuple(labels[:32].tolist())
    assert evidence.probes[0].accuracy == pytest.approx(float(right))


def test_targets_of_a_regression_are_values() -> None:
    def loss(output: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(output[:, 0], labels.float())

    (first, *_) = loop(loss).labels
    assert first.classes == ()
    assert first.values == tuple(points()[1][:32].float().tolist())


def test_gradients_that_were_not_cleared_are_seen_before_backward() -> None:
    cleared = loop(F.cross_entropy)
    kept = loop(F.cross_entropy, clear=False)
    assert [each.leftover for each in cleared.probes] == [0.0, 0.0, 0.0]
    assert kept.probes[0].leftover == 0.0
    assert kept.probes[1].leftover == pytest.approx(
        sum((each.gradient or 0.0) ** 2 for each in kept.probes[0].parameters.values()) ** 0.5,
        rel=1e-5,
    )


def test_agreement_is_the_cosine_with_the_gradient_before() -> None:
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.9)
    with Watch(model, optimizer, overhead=1e9, at_exit=0) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            (0.5 * (model(torch.ones(1, 1)) - 3) ** 2).sum().backward()
            optimizer.step()
    assert [each.agreement for each in watch.evidence.probes] == [
        None, pytest.approx(-1), pytest.approx(-1), pytest.approx(-1),
    ]  # fmt: skip


def test_probes_come_in_pairs_of_neighbouring_updates() -> None:
    steps = [each.step for each in train(steps=200).evidence.probes]
    assert steps[:2] == [1, 2]
    assert all(late - early == 1 for early, late in zip(steps[::2], steps[1::2], strict=False))


def test_labels_are_seen_to_the_end_of_a_long_run() -> None:
    steps = [each.step for each in train(steps=600).evidence.labels]
    assert steps[:64] == list(range(1, 65))
    assert 64 + 30 < len(steps) < 64 + 4 * 40
    assert steps[-1] > 550


def test_small_batches_are_seen_for_longer() -> None:
    labels = Labels()
    for step in range(1, 1500):
        if step > labels.due:
            labels.add(LabelBatch(step, (step % 3,)), step - 1)
    assert [each.step for each in labels.batches[:1024]] == list(range(1, 1025))
    assert len(labels.batches) < 1100


def test_many_targets_are_kept_evenly_spread() -> None:
    batch = label_batch(1, torch.arange(10_000))
    assert batch is not None
    assert batch.classes[:3] == (0, 3, 6)
    assert batch.classes[-1] == 9999
