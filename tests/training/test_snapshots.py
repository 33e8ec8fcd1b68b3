"""A snapshot is taken at the end of every cycle; an ensemble is the mean of its members."""

from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from trained import Log, adam, data, equal, kept, model, resumed, trained

from thalweg.errors import BadFile, BadType, BadValue
from thalweg.optim import SGD
from thalweg.schedules import (
    Schedule,
    constant,
    exponential,
    snapshot_cosine,
    triangular,
    warm_restarts,
    warmup,
)
from thalweg.training import (
    Ensemble,
    Snapshots,
    StaleStatistics,
    evaluate,
    load_ensemble,
    mark,
    reestimate,
)
from thalweg.training.strategies.batch_norm import is_marked
from thalweg.training.strategies.snapshots import Cycles

COSINE = snapshot_cosine(0.1, steps=21, cycles=3)


def sgd(lr: Schedule):
    return lambda made: SGD(made.parameters(), lr=lr)


def snapshotted(*others, **how) -> Snapshots:
    snapshots = Snapshots()
    trained(*others, snapshots, make=sgd(COSINE), **how)
    return snapshots


def ends(schedule: Schedule, count: int) -> list[int]:
    cycles = Cycles(schedule)
    return [update for update in range(1, count + 1) if update in cycles]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (snapshot_cosine(0.1, steps=20, cycles=4), [5, 10, 15, 20]),
        (snapshot_cosine(0.1, steps=20, cycles=3), [7, 14, 20]),
        (snapshot_cosine(0.1, steps=20, cycles=1), [20]),
        (snapshot_cosine(0.1, steps=20, cycles=4).after(warmup(3)), [8, 13, 18, 23]),
        (warm_restarts(0.1, first=10), [10, 30, 70, 150]),
        (warm_restarts(0.1, first=10, factor=1), list(range(10, 201, 10))),
        (triangular(0.01, 0.1, half=25), [51, 101, 151]),
    ],
)
def test_cycles_end_with_the_lowest_rate_before_it_rises(schedule, expected) -> None:
    assert ends(schedule, 200) == expected


def test_they_end_so_also_far_on() -> None:
    cycles = Cycles(warm_restarts(0.1, first=1_000, factor=3))
    assert [n for n in (364_000, 1_093_000) if n in cycles] == [364_000, 1_093_000]
    assert not any(n in cycles for n in (363_999, 364_001, 100_000, 100_001, 200_001))


def test_one_is_taken_with_the_weights_of_the_end_of_each_cycle() -> None:
    log = Log()
    snapshots = snapshotted(log)
    assert snapshots.updates == [7, 14, 21]
    for update, weights in zip(snapshots.updates, snapshots.taken, strict=True):
        assert equal(weights, log.updates[update - 1])


def test_they_can_be_taken_at_given_updates_with_any_optimizer() -> None:
    log, snapshots = Log(), Snapshots(at=[3, 8, 400])
    trained(log, snapshots)
    assert snapshots.updates == [3, 8]
    assert equal(snapshots.taken[1], log.updates[7])


@pytest.mark.parametrize("cut", [6, 12, 15])
def test_resumed_they_are_the_same_to_the_last_bit(cut, tmp_path) -> None:
    straight = snapshotted()
    again, _ = resumed(Snapshots, cut, tmp_path, make=sgd(COSINE))
    assert again.updates == straight.updates
    for one, other in zip(again.taken, straight.taken, strict=True):
        assert equal(one, other)
    ensemble, whole = again.ensemble(), straight.ensemble()
    assert equal(kept(ensemble), kept(whole))


def test_its_members_have_the_moments_of_their_own_weights() -> None:
    snapshots = snapshotted()
    ensemble: Any = snapshots.ensemble(last=2)
    assert len(ensemble.members) == 2
    assert not is_marked(ensemble)
    for member, weights in zip(ensemble.members, snapshots.taken[1:], strict=True):
        expected = model()
        expected.load_state_dict(weights)
        update_bn([data()[0]], expected)
        assert torch.equal(member[0].weight, weights["0.weight"])
        assert torch.allclose(member[1].running_mean, expected[1].running_mean, atol=1e-6)
        assert torch.allclose(member[1].running_var, expected[1].running_var, rtol=1e-5)


def made_of(count: int = 3) -> Ensemble:
    members = []
    for seed in range(count):
        torch.manual_seed(seed)
        members.append(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)))
    return Ensemble(members)


def test_it_predicts_the_mean_of_the_members_probabilities() -> None:
    ensemble, (inputs, targets) = made_of(), data()
    each = [member(inputs).softmax(-1) for member in ensemble.members]
    mean = torch.stack(each).mean(0).detach()
    assert torch.allclose(ensemble.probabilities(inputs), mean, rtol=1e-5)
    assert torch.allclose(ensemble(inputs), mean.log(), rtol=1e-5, atol=1e-6)
    found = [evaluate(ensemble, loss, (inputs, targets)) for loss in LOSSES]
    assert found[0].loss == pytest.approx(float(-mean.log()[range(50), targets].mean()), rel=1e-5)
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-5)
    assert found[0].accuracy == int((mean.argmax(-1) == targets).sum()) / 50


LOSSES = (nn.functional.nll_loss, nn.functional.cross_entropy)


def test_certain_members_give_finite_logarithms() -> None:
    class Sure(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.tensor([[1e4, 0.0]]).expand(len(inputs), 2)

    found = Ensemble([Sure(), Sure()])(data()[0])
    assert found.isfinite().all()
    assert torch.equal(found[:, 0], torch.zeros(50))


def test_saved_and_loaded_it_predicts_the_same(tmp_path) -> None:
    ensemble, (inputs, _) = made_of(), data()
    ensemble.save(tmp_path / "ensemble.safetensors")
    loaded = load_ensemble(lambda: made_of(1).members[0], tmp_path / "ensemble.safetensors")
    assert equal(kept(loaded), kept(ensemble))
    assert torch.equal(loaded(inputs), ensemble(inputs))
    assert not loaded.members[0].training


def test_members_without_their_moments_warn_also_when_loaded(tmp_path) -> None:
    ensemble, (inputs, targets) = made_of(), data()
    mark(ensemble.members[1])
    with pytest.warns(StaleStatistics):
        ensemble(inputs)
    ensemble.save(tmp_path / "marked")
    loaded = load_ensemble(lambda: made_of(1).members[0], tmp_path / "marked")
    assert [is_marked(member) for member in loaded.members] == [False, True, False]
    reestimate(loaded, (inputs, targets))
    assert not is_marked(loaded)


def test_what_is_no_ensemble_of_this_model_is_refused(tmp_path) -> None:
    made_of().save(tmp_path / "good")
    content = (tmp_path / "good").read_bytes()
    (tmp_path / "torn").write_bytes(content[: len(content) // 2])
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(BadFile, match=r"0\.bias.*\(8,\).*\(9,\)"):
        load_ensemble(lambda: nn.Sequential(nn.Linear(6, 9)), tmp_path / "good")
    with pytest.raises(BadFile, match="cannot be read"):
        load_ensemble(model, tmp_path / "torn")
    with pytest.raises(BadFile, match="cannot be read"):
        load_ensemble(model, tmp_path / "missing")
    with pytest.raises(BadFile, match="no ensemble"):
        load_ensemble(model, tmp_path / "other")
    with pytest.raises(BadType, match="expected a module"):
        load_ensemble(dict, tmp_path / "good")  # type: ignore[arg-type]
    with pytest.raises(BadFile, match="cannot be written"):
        made_of().save(tmp_path / "no folder" / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "other", "torn"]


def test_a_rate_without_cycles_is_refused_before_the_first_update() -> None:
    for make in (adam, sgd(constant(0.1)), sgd(exponential(0.1, factor=0.99))):
        log = Log()
        with pytest.raises(BadValue, match=r"Snapshots\(at=...\)"):
            trained(log, Snapshots(), make=make)
        assert not log.updates


@pytest.mark.parametrize(
    ("at", "error"), [([], BadValue), ([0], BadValue), ([1.5], BadType), (3, BadType)]
)
def test_updates_that_cannot_be_are_refused(at, error) -> None:
    with pytest.raises(error, match="at"):
        Snapshots(at=at)


def test_more_members_than_snapshots_are_refused() -> None:
    snapshots = snapshotted(epochs=1)
    assert snapshots.updates == [7]
    with pytest.raises(BadValue, match=r"of 2 snapshots.*1 were taken, after updates \[7\]"):
        snapshots.ensemble(last=2)
    with pytest.raises(BadValue, match="last=0"):
        snapshots.ensemble(last=0)
    with pytest.raises(BadValue, match="0 were taken"):
        Snapshots().ensemble()
    with pytest.raises(BadValue, match="at least one member"):
        Ensemble([])
