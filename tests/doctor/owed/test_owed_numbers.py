"""Curvature, noise and neighbours at the end of a run, against answers that are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, watch
from watched import net, points, sgd, train


def ravine(make: type[torch.optim.Optimizer], **settings: float) -> Evidence:
    """The evidence of a fit whose Hessian is twice the diagonal 1, 1/100."""
    model = nn.Linear(2, 1, bias=False)
    optimizer, loss_fn = make(model.parameters(), **settings), nn.MSELoss()  # type: ignore[arg-type]
    inputs = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(5):
            optimizer.zero_grad()
            loss_fn(model(inputs), inputs.sum(1, keepdim=True)).backward()
            optimizer.step()
    return watching.evidence


def test_the_curvature_and_the_stable_rate_of_a_quadratic_are_those_of_the_book() -> None:
    found = ravine(torch.optim.SGD, lr=0.1).curvature
    assert found is not None
    assert found.largest == pytest.approx(2.0, rel=1e-4)
    assert found.smallest == pytest.approx(0.02, rel=1e-3)
    assert found.quantile == pytest.approx(0.02, rel=1e-3)
    assert found.stable_lr == pytest.approx((1.0, 1.0), rel=1e-3)
    assert [each[0] for each in found.spectrum] == pytest.approx([0.02, 2.0], rel=1e-3)
    assert [each[1] for each in found.spectrum] == [0.5, 0.5]


def test_the_spectrum_of_a_larger_model_lies_between_the_extremes_and_is_whole() -> None:
    found = train(at_exit=60.0).evidence.curvature
    assert found is not None
    values = [value for value, _ in found.spectrum]
    near = 1e-3 * found.largest
    assert values == sorted(values)
    assert found.smallest - near <= values[0] < values[-1] <= found.largest + near
    assert sum(share for _, share in found.spectrum) == pytest.approx(1.0)


def test_momentum_widens_the_stable_interval() -> None:
    found = ravine(torch.optim.SGD, lr=0.1, momentum=0.9).curvature
    assert found is not None
    assert found.stable_lr == pytest.approx((1.9, 1.9), rel=1e-3)


def test_adam_has_a_preconditioned_curvature_and_a_rate_from_it() -> None:
    found = ravine(torch.optim.Adam, lr=1e-3).curvature
    assert found is not None
    assert found.preconditioned is not None
    assert 0 < found.stable_lr[0] <= found.stable_lr[1] < math.inf


def test_neighbours_share_a_class_unless_labels_are_shuffled() -> None:
    inputs, labels = points(2000)
    shuffled = labels[torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))]
    agreements = []
    for targets in (labels, shuffled):
        model = net()
        optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
        with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
            for begin in range(0, 1024, 128):
                rows = slice(begin, begin + 128)
                loss_fn(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
        found = watching.evidence.neighbours
        assert found is not None
        assert found.examples == 1024
        agreements.append((found.agreement, found.chance))
    (told, _), (random, chance) = agreements
    assert told > 0.8
    assert random == pytest.approx(chance, abs=0.06)


def test_layers_are_looked_at_once_more_at_the_end_even_without_probes_before() -> None:
    model = net()
    with torch.no_grad():
        model[0].bias.fill_(-20.0)  # type: ignore[operator]
    evidence = train(sgd, model, overhead=0.0, at_exit=60.0).evidence
    (probe,) = evidence.probes
    assert probe.step == 30
    assert evidence.units["1"].active == 0
    assert evidence.units["1"].examples == 4 * 32
    assert probe.parameters["2.bias"].gradient
    assert probe.parameters["0.weight"].gradient == 0.0


def test_without_a_loss_the_layers_are_still_looked_at_and_the_rest_is_said_to_be_missing() -> None:
    evidence = train(overhead=0.0, at_exit=60.0, loss_fn=None).evidence
    assert evidence.probes[-1].layers
    for kind in ("curvature", "noise", "gradient check", "neighbours", "validation"):
        assert evidence.lacks(kind) == "not available without loss_fn"


@pytest.mark.parametrize("normalized", [False, True])
def test_the_noise_of_all_data_at_once_is_that_of_its_parts(normalized: bool) -> None:
    model = nn.Sequential(nn.BatchNorm1d(4, affine=False), net()) if normalized else net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    inputs, labels = points(1023)
    loss_fn = nn.CrossEntropyLoss()
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for step in range(8):
            order = torch.randperm(1023, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            loss_fn(model(inputs[order]), labels[order]).backward()
            optimizer.step()
    noise = watching.evidence.noise
    assert noise is not None
    whole = (inputs - inputs.mean(0)) / inputs.std(0) if normalized else inputs
    slopes = torch.stack([slope(loss_fn, x, y) for x, y in zip(whole, labels, strict=True)])
    expected = float(slopes.var(0).sum() / slopes.mean(0).square().sum())
    assert noise.low <= expected <= noise.high
    assert noise.high < 5 * noise.low


def slope(loss_fn: nn.Module, inputs: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The gradient of a fresh net at one example."""
    model = net()
    loss = loss_fn(model(inputs[None]), label[None])
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, [*model.parameters()])])
