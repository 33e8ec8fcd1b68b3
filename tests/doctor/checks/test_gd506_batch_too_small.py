import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import NoiseScale, Step
from watched import net, points

CHECK = find_check("GD506")
FALLING = (1.0, 0.8, 0.6, 0.3)
STUCK = (1.0, 0.6, 0.5, 0.5)


def evidence(
    batch: int, losses: tuple[float, ...], noise: tuple[float, float] = (200.0, 90.0),
    spread: float = 40.0,
) -> Evidence:  # fmt: skip
    scale, low = noise
    values = [each for each in losses for _ in range(20)]
    steps = [Step(k + 1, each, (0.1,), seconds=1e-3) for k, each in enumerate(values)]
    return Evidence(steps=steps, noise=NoiseScale(80, scale, low, 1e9, batch, spread, seconds=1e-6))


def trained(batch: int) -> Evidence:
    """The evidence of a run at one rate, on points of which most features say nothing."""
    torch.manual_seed(0)
    inputs, labels = points(1000, 64)
    model, loss_fn = net(64), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, loss_fn, overhead=0, at_exit=20.0) as watching:
        for _ in range(600):
            rows = torch.randint(1000, (batch,))
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return watching.evidence


def test_single_examples_whose_noise_keeps_the_loss_up_are_told_a_larger_batch() -> None:
    (found,) = CHECK(trained(1))
    assert (found.code, found.severity) == ("GD506", "warning")
    assert found.change == "batch_size=1 → 32"


def test_a_loss_that_still_falls_or_is_low_is_at_most_remarked_upon() -> None:
    assert {each.severity for each in CHECK(evidence(4, STUCK))} == {"warning"}
    assert {each.severity for each in CHECK(evidence(4, FALLING))} <= {"remark"}
    assert {each.severity for each in CHECK(evidence(4, (1.0, 0.1, 0.02, 0.02)))} <= {"remark"}


def test_a_loss_that_is_up_for_another_reason_than_the_noise_is_at_most_remarked_upon() -> None:
    assert {each.severity for each in CHECK(evidence(4, STUCK, spread=1.0))} == {"remark"}


def test_noise_that_is_near_the_batch_or_not_known_says_nothing() -> None:
    assert not CHECK(evidence(4, STUCK, (20.0, 10.0)))
    assert not CHECK(evidence(4, STUCK, (float("inf"), 0.0)))


def test_usual_batches_are_at_most_remarked_upon() -> None:
    assert {each.severity for each in CHECK(evidence(32, STUCK, (4000.0, 2000.0)))} == {"remark"}
    assert not [each for each in CHECK(trained(32)) if each.severity != "remark"]


def test_a_scale_without_bound_is_no_advice() -> None:
    assert not CHECK(evidence(32, STUCK, (float("inf"), 1e300)))
