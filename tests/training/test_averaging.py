"""Averages equal those of an explicit list of all weights, also when resumed in their middle."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from trained import PER_EPOCH, Log, data, equal, kept, model, resumed, trained

from thalweg.errors import BadType, BadValue
from thalweg.training import Average, Ema, PolyakTail, StaleStatistics, Strategy, Swa, evaluate, fit
from thalweg.training.strategies.batch_norm import is_marked

EPS = torch.finfo(torch.float32).eps
PARAMETERS = {name for name, _ in model().named_parameters()}

AVERAGES = {
    "ema": lambda: Ema(0.9),
    "polyak": lambda: PolyakTail(0),
    "polyak's tail": lambda: PolyakTail(10),
    "swa by epochs": lambda: Swa(1),
    "swa by updates": lambda: Swa(4, every=3),
}


def chosen(name: str, log: Log) -> tuple[list[dict[str, Tensor]], list[float]]:
    """The weights an average is of, and their shares."""
    match name:
        case "ema":
            count = len(log.updates)
            shares = [0.1 * 0.9 ** (count - 1 - k) for k in range(count)]
            return log.updates, [0.9 ** (count - 1), *shares[1:]]
        case "polyak's tail":
            found = log.updates[10:]
        case "swa by epochs":
            found = log.epochs[1:]
        case "swa by updates":
            found = log.updates[6::3]
        case _:
            found = log.updates
    return found, [1 / len(found)] * len(found)


def mean(weights: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    pairs = zip(weights, shares, strict=True)
    return sum((each.double() * share for each, share in pairs), torch.zeros(()))


@pytest.mark.parametrize("name", AVERAGES)
def test_it_is_the_average_of_the_weights_it_says(name) -> None:
    average, log = AVERAGES[name](), Log()
    result = trained(log, average)
    weights, shares = chosen(name, log)
    assert math.isclose(sum(shares), 1)
    assert average.count == len(weights)
    for key in PARAMETERS:
        found = [each[key] for each in weights]
        bound = 3 * len(found) * EPS * max(float(each.abs().max()) for each in found)
        difference = average.averaged[key].double() - mean(found, shares)
        assert difference.abs().max() <= bound, key
    last = kept(result.model)
    assert all(torch.equal(average.averaged[k], last[k]) for k in last.keys() - PARAMETERS)


class Torch(Strategy):
    """torch's own averages, of the same training."""

    def begin(self, training) -> None:
        function = get_ema_multi_avg_fn(0.9)
        self.ema = AveragedModel(training.model, multi_avg_fn=function)
        self.mean = AveragedModel(training.model)

    def after_update(self, training) -> None:
        self.ema.update_parameters(training.model)
        self.mean.update_parameters(training.model)


def test_they_agree_with_torch_s_own() -> None:
    theirs, ema, tail = Torch(), Ema(0.9), PolyakTail(0)
    trained(theirs, ema, tail)
    for ours, module in ((ema, theirs.ema), (tail, theirs.mean)):
        for name, value in module.module.named_parameters():
            assert torch.allclose(ours.averaged[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("cut", [PER_EPOCH, 12])
def test_resumed_it_ends_with_the_same_bits(name, cut, tmp_path) -> None:
    straight = AVERAGES[name]()
    trained(straight)
    again, _ = resumed(AVERAGES[name], cut, tmp_path)
    assert again.count == straight.count
    assert equal(again.averaged, straight.averaged)


def test_the_training_is_as_it_would_be_without() -> None:
    with_it, without = trained(Ema(0.9)), trained()
    assert equal(kept(with_it.model), kept(without.model))


def test_its_model_has_the_moments_of_the_averaged_weights() -> None:
    average = Ema(0.9)
    result = trained(average)
    made: Any = average.model()
    assert not is_marked(made)
    assert not made.training
    assert all(torch.equal(kept(made)[name], average.averaged[name]) for name in PARAMETERS)
    update_bn([data()[0]], result.model)
    expected: Any = model()
    expected.load_state_dict(average.averaged)
    update_bn([data()[0]], expected)
    assert torch.allclose(made[1].running_mean, expected[1].running_mean, rtol=1e-5, atol=1e-6)
    assert torch.allclose(made[1].running_var, expected[1].running_var, rtol=1e-5)


def test_weights_put_into_a_model_warn_until_its_moments_are_measured() -> None:
    average, made = PolyakTail(0), model()
    trained(average)
    average.put_into(made)
    with pytest.warns(StaleStatistics):
        evaluate(made, nn.functional.cross_entropy, data())


def test_half_precision_is_averaged_in_full() -> None:
    class Watched(Ema):
        def end(self, training) -> None:
            self.kinds = {mean.dtype for mean in self._means}
            super().end(training)

    def flat() -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(6, 2).bfloat16()

    made, average, log = flat(), Watched(0.999), Log()
    inputs, targets = data()
    sgd = torch.optim.SGD(made.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy
    fit(
        made, sgd, lambda outputs, wanted: loss(outputs.float(), wanted),
        (inputs.bfloat16(), targets), batch=8, epochs=9, strategies=[log, average],
    )  # fmt: skip
    assert average.kinds == {torch.float32}
    shares = [0.001 * 0.999 ** (len(log.updates) - 1 - k) for k in range(len(log.updates))]
    shares[0] = 0.999 ** (len(log.updates) - 1)
    exact = mean([each["weight"] for each in log.updates], shares)
    assert torch.equal(average.averaged["weight"], exact.bfloat16())
    assert not torch.equal(average.averaged["weight"], log.updates[0]["weight"])


def test_shared_weights_stay_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(6, 6, bias=False)
            self.two = nn.Linear(6, 6, bias=False)
            self.two.weight = self.one.weight

        def forward(self, inputs: Tensor) -> Tensor:
            return self.two(self.one(inputs))

    made, average = Tied(), PolyakTail(0)
    fit(
        made, torch.optim.SGD(made.parameters(), lr=0.1), nn.functional.cross_entropy, data(),
        batch=8, strategies=[average],
    )  # fmt: skip
    found: Any = average.model()
    assert found.one.weight is found.two.weight
    assert torch.equal(average.averaged["one.weight"], average.averaged["two.weight"])


@pytest.mark.parametrize("average", [PolyakTail(100), Swa(3), Ema()])
def test_without_an_average_there_is_no_model(average: Average) -> None:
    if not isinstance(average, Ema):
        trained(average)
    with pytest.raises(BadValue, match="has no average"):
        average.model()
    with pytest.raises(BadValue, match="has no average"):
        average.put_into(model())


text: Any = "week"
half: Any = 0.5


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Ema(1.0), BadValue),
        (lambda: Ema(-0.1), BadValue),
        (lambda: Ema(text), BadType),
        (lambda: PolyakTail(-1), BadValue),
        (lambda: PolyakTail(half), BadType),
        (lambda: PolyakTail(False), BadType),
        (lambda: Swa(-1), BadValue),
        (lambda: Swa(1, every=0), BadValue),
        (lambda: Swa(1, every=text), BadType),
    ],
)
def test_settings_that_cannot_work_are_refused(make, error) -> None:
    with pytest.raises(error, match="decay|start|every"):
        make()
