"""Re-estimated moments are those of the whole set, whatever the batch; forgetting it is told."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset
from trained import adam, data, equal, kept, model

from thalweg.errors import BadType, BadValue
from thalweg.training import evaluate, fit, mark, reestimate
from thalweg.training.strategies.batch_norm import StaleStatistics, is_marked

EPS = torch.finfo(torch.float32).eps


def images(count: int = 90) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return 3 + torch.randn(count, 2, 6, 6, generator=generator), torch.zeros(count).long()


def deep() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3, momentum=None), nn.Flatten(), nn.Linear(12, 2),
    )  # fmt: skip


def near(found: Tensor, expected: Tensor, ulps: int = 32) -> bool:
    scale = expected.abs().max()
    return bool(((found.double() - expected).abs() <= ulps * EPS * scale).all())


def test_with_one_layer_they_are_the_exact_moments_of_its_inputs() -> None:
    made, (inputs, _) = model(), data()
    reestimate(made, data(), batch=7)
    seen = made[0](inputs).detach().numpy().astype(np.float64)
    assert near(made[1].running_mean, torch.from_numpy(seen.mean(0)))
    assert near(made[1].running_var, torch.from_numpy(seen.var(0, ddof=1)))


def test_every_layer_sees_what_it_will_see_when_the_model_is_used() -> None:
    made, (inputs, _) = deep(), images()
    reestimate(made, images(), batch=17)
    made.eval()
    for place in (1, 5):
        seen = made[:place](inputs).detach().double().transpose(0, 1).flatten(1)
        assert near(made[place].running_mean, seen.mean(1))
        assert near(made[place].running_var, seen.var(1))


@pytest.mark.parametrize("batch", [1, 16, 89])
def test_they_do_not_depend_on_the_size_of_the_batch(batch) -> None:
    whole, parts = deep(), deep()
    reestimate(whole, images())
    reestimate(parts, images(), batch=batch)
    for name, value in kept(whole).items():
        assert near(kept(parts)[name], value.double()), name


def test_a_single_layer_agrees_with_torch_fed_everything_at_once() -> None:
    ours, theirs = model(), model()
    reestimate(ours, data())
    update_bn([data()[0]], theirs)
    assert near(ours[1].running_mean, theirs[1].running_mean.double())
    assert near(ours[1].running_var, theirs[1].running_var.double())


def test_a_loader_gives_the_same_as_its_data() -> None:
    ours, theirs = model(), model()
    reestimate(ours, data())
    reestimate(theirs, DataLoader(TensorDataset(*data()), batch_size=9))
    assert near(theirs[1].running_var, ours[1].running_var.double())


def test_a_large_mean_does_not_cancel_the_variance() -> None:
    inputs, targets = data(500)
    made: Any = nn.Sequential(nn.BatchNorm1d(6)).double()
    shifted = inputs.double() + 1e8
    reestimate(made, (shifted, targets), batch=3)
    assert torch.allclose(made[0].running_var, shifted.var(0), rtol=1e-12)


def test_a_layer_called_twice_is_measured_on_both_inputs() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm: Any = nn.BatchNorm1d(6)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.norm(inputs) + self.norm(inputs + 4)

    made, inputs = Twice(), data()[0]
    reestimate(made, data(), batch=11)
    assert near(made.norm.running_mean, torch.cat([inputs, inputs + 4]).double().mean(0))
    assert near(made.norm.running_var, torch.cat([inputs, inputs + 4]).double().var(0))


def test_nothing_else_is_changed() -> None:
    made = deep()
    made[5].eval()
    before, modes = kept(made), [each.training for each in made.modules()]
    own = torch.Generator().manual_seed(3)
    loader = DataLoader(TensorDataset(*images()), batch_size=8, shuffle=True, generator=own)
    states = [torch.get_rng_state(), own.get_state()]
    reestimate(made, loader)
    after = kept(made)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {
        "1.running_mean", "1.running_var", "5.running_mean", "5.running_var",
    }  # fmt: skip
    assert [each.training for each in made.modules()] == modes
    assert made[1].momentum == 0.1
    assert made[5].momentum is None
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(own.get_state(), states[1])
    assert not any(each._forward_pre_hooks for each in made.modules())


def with_nan() -> tuple[Tensor, Tensor]:
    inputs, targets = images()
    inputs[50, 0, 0, 0] = torch.nan
    return inputs, targets


def small() -> tuple[Tensor, Tensor]:
    inputs, targets = data(1)
    return inputs, targets


@pytest.mark.parametrize(
    ("made", "bad", "message"),
    [
        (deep, with_nan, "not finite"),
        (model, small, "no variance"),
        (model, lambda: data(0), "no data"),
    ],
)
def test_data_that_have_no_moments_are_refused_with_nothing_changed(made, bad, message) -> None:
    net = made()
    mark(net)
    before = kept(net)
    with pytest.raises(BadValue, match=message):
        reestimate(net, bad())
    assert equal(kept(net), before)
    assert is_marked(net)
    assert net.training


def test_layers_that_are_not_called_are_left_as_they_are() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.BatchNorm1d(6), nn.BatchNorm1d(6)

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs if self.used is None else self.used(inputs)

    made: Any = Half()
    mark(made)
    reestimate(made, data())
    assert near(made.used.running_mean, data()[0].double().mean(0))
    assert torch.equal(made.spare.running_mean, torch.zeros(6))
    assert [is_marked(made.used), is_marked(made.spare)] == [False, True]
    made.used = None
    with pytest.raises(BadValue, match="calls none"):
        reestimate(made, data())


def test_a_batch_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadType, match="batch"):
        reestimate(model(), data(), batch=0.5)  # type: ignore[arg-type]


def test_a_model_without_batch_normalization_is_left_alone() -> None:
    made = nn.Linear(6, 2)
    before = kept(made)
    reestimate(made, data())
    mark(made)
    assert equal(kept(made), before)
    assert not is_marked(made)


@pytest.mark.parametrize(
    "come_by",
    [
        lambda made: made,
        copy.deepcopy,
        lambda made: pickle.loads(pickle.dumps(made)),
        nn.Sequential,
    ],
    ids=["itself", "a copy", "pickled", "a part"],
)
def test_predicting_with_a_marked_model_warns_and_says_what_to_call(come_by) -> None:
    made = model()
    mark(made)
    mark(made)
    with pytest.warns(StaleStatistics, match=r"reestimate\(model, train\)") as told:
        evaluate(come_by(made), nn.functional.cross_entropy, data())
    assert len(told) == 1


def quiet(made: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(made, nn.functional.cross_entropy, data())


def test_reestimating_ends_the_warning_and_does_not_warn_itself() -> None:
    made = model()
    mark(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reestimate(made, data())
    quiet(made)


def test_training_on_and_torch_s_own_way_end_the_warning() -> None:
    made = model()
    mark(made)
    update_bn([data()[0]], made)
    quiet(made)


def test_a_model_that_is_trained_plainly_does_not_warn() -> None:
    made = model()
    fit(made, adam(made), nn.functional.cross_entropy, data(), batch=8, epochs=1)
    quiet(made)
