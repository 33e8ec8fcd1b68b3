import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import Curvature, NoiseScale, Step

CHECK = find_check("GD507")
FALLING = (1.0, 0.8, 0.6, 0.4)


def evidence(
    batch: int, losses: tuple[float, ...] = FALLING, high: float = 20.0, stable: float = 1.0
) -> Evidence:
    values = [each for each in losses for _ in range(20)]
    seconds = 1e-4 + 1e-5 * batch
    return Evidence(
        steps=[Step(k + 1, each, (0.1,), seconds=seconds) for k, each in enumerate(values)],
        noise=NoiseScale(80, 15.0, 10.0, high, batch, seconds=1e-5),
        curvature=Curvature(80, 1.0, 0.0, 0.0, (stable, stable)),
    )


def trained(batch: int, updates: int) -> Evidence:
    """The evidence of a regression whose targets have hardly any noise."""
    torch.manual_seed(0)
    inputs = torch.randn(2048, 8)
    targets = inputs.sum(1, keepdim=True).tanh() + 3
    model, loss_fn = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 1)), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with watch(model, optimizer, loss_fn, overhead=0, at_exit=20.0) as watching:
        for _ in range(updates):
            rows = torch.randint(2048, (batch,))
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    return watching.evidence


def test_a_batch_that_says_the_same_many_times_is_told_a_smaller_one() -> None:
    (found,) = CHECK(trained(2048, 24))
    assert (found.code, found.severity) == ("GD507", "warning")
    assert found.change.startswith("batch_size=2048 → ")
    assert found.numbers["best"] < 205


def test_a_smaller_batch_of_the_same_is_left_alone() -> None:
    assert not CHECK(trained(32, 200))


def test_a_loss_that_has_come_to_its_end_is_at_most_remarked_upon() -> None:
    assert [each.severity for each in CHECK(evidence(4096))] == ["warning"]
    assert [each.severity for each in CHECK(evidence(4096, (1.0, 0.2, 0.2, 0.2)))] == ["remark"]


def test_a_rate_that_is_far_too_small_comes_first() -> None:
    assert [each.severity for each in CHECK(evidence(4096, stable=10.0))] == ["remark"]


def test_noise_near_the_batch_or_not_known_says_nothing() -> None:
    assert not CHECK(evidence(256, high=4000.0))
    assert not CHECK(evidence(4096, high=float("inf")))
