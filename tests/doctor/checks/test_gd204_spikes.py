import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, diagnose, find_check
from thalweg.doctor.evidence import Step
from watched import fit, line, train

CHECK = find_check("GD204")


class Outliers(nn.Module):
    """A network into which a batch a hundred times too large finds its way, every so often."""

    def __init__(self, every: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
        self.every, self.calls = every, 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += self.training
        return self.inner(inputs * (12.0 if self.calls % self.every == 0 else 1.0))


def slow(params: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=1e-3, momentum=0.9)  # type: ignore[arg-type]


def clipped(every: int) -> Evidence:
    return fit(Outliers(every), slow, line(), 240, batch=16, at_exit=0.0)


def evidence(losses: list[float]) -> Evidence:
    return Evidence(steps=[Step(k, loss, (0.1,)) for k, loss in enumerate(losses, 1)])


FALLING = [2.0 / (1 + 0.05 * k) for k in range(200)]


def test_batches_unlike_all_others_are_found_with_their_updates() -> None:
    (found,) = CHECK(clipped(60))
    assert found.code == "GD204"
    assert {60, 120, 180} <= set(found.numbers["updates"])
    assert "clip_grad_norm_" in found.change


def test_it_is_silent_without_them_and_on_healthy_runs() -> None:
    assert not CHECK(clipped(10_000))
    assert not CHECK(train(steps=200).evidence)


def test_spikes_that_come_back_are_a_warning_and_one_alone_is_nothing() -> None:
    spiked = list(FALLING)
    spiked[80] = spiked[150] = 9.0
    assert [each.severity for each in CHECK(evidence(spiked))] == ["warning"]
    spiked[150] = FALLING[150]
    assert not CHECK(evidence(spiked))


def test_one_that_the_loss_never_came_back_from_is_an_error() -> None:
    (found,) = CHECK(evidence([2.0] * 30 + [1.1] * 60 + [40.0] + [2.1] * 100))
    assert (found.severity, found.step) == ("error", 91)


def test_a_loss_that_is_noisy_all_along_has_no_spikes() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(600, 8, generator=generator).square().mean(1)
    assert not CHECK(evidence(drawn.tolist()))


def test_a_divergence_is_no_spike() -> None:
    assert not CHECK(evidence([1.0] * 50 + [2.0**k for k in range(60)]))


def test_it_comes_before_what_follows_from_it() -> None:
    found = diagnose(clipped(60)).findings
    assert found[0].code == "GD204"


def test_spikes_that_are_wild_count_however_many_there_are() -> None:
    for height, count in ((600.0, 1), (9.0, 0)):
        spiked = [height if k % 12 == 11 else 1.0 + 0.1 * (k % 3) for k in range(240)]
        assert len(CHECK(evidence(spiked))) == count


def test_a_rate_follows_from_spikes_unless_the_loss_ended_far_above_its_start() -> None:
    spiked = [2.0, *(1.0 for _ in range(199))]
    spiked[80] = spiked[150] = 9.0
    lost = [2.0, *(400.0 * each for each in spiked[1:])]
    assert [each.explains for each in CHECK(evidence(spiked))] == [("GD202", "GD203")]
    assert [each.explains for each in CHECK(evidence(lost))] == [()]
