from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from thalweg.doctor import Evidence, diagnose, find_check
from watched import fit, line, net, sgd, train

CHECK = find_check("GD209")


def with_first_layer_at(share: float, kind: str = "SGD") -> Evidence:
    """The evidence of a run whose first layer has its own share of the learning rate."""
    lr = 0.1 if kind == "SGD" else 3e-3

    def make(params: Iterable[Tensor]) -> torch.optim.Optimizer:
        weight, bias, *rest = params
        groups = [{"params": [weight, bias], "lr": share * lr}, {"params": rest, "lr": lr}]
        return getattr(torch.optim, kind)(groups, lr=lr)

    return train(make, steps=80, overhead=1e9).evidence


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_a_layer_whose_updates_are_nothing_beside_its_weights_is_named(kind: str) -> None:
    seen = with_first_layer_at(1e-6, kind)
    (found,) = CHECK(seen)
    assert (found.code, found.where) == ("GD209", "0.weight")
    assert found.numbers["ratio"] < 1e-6
    assert diagnose(seen).findings[0].code == "GD209"


def test_a_layer_that_is_replaced_by_each_update_is_named() -> None:
    found = CHECK(with_first_layer_at(1000.0, "Adam"))
    assert [each.where for each in found] == ["0.weight"]
    assert float(found[0].change.split(" → ")[1].split()[0]) < 0.1


def test_layers_that_move_a_thousandth_of_themselves_are_left_alone() -> None:
    assert not CHECK(with_first_layer_at(1.0))
    assert not CHECK(with_first_layer_at(1.0, "Adam"))
    assert not CHECK(with_first_layer_at(0.01))


def test_a_last_layer_that_begins_at_zero_grows_fast_and_is_healthy() -> None:
    model = net()
    torch.nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]
    assert not CHECK(train(sgd, model, steps=80).evidence)


@pytest.mark.filterwarnings("ignore:.*")
def test_a_layer_whose_updates_are_rounded_away_altogether_is_named() -> None:
    found = CHECK(with_first_layer_at(1e-12))
    assert [each.where for each in found] == ["0.weight"]
    assert (found[0].numbers["ratio"], found[0].change) == (0.0, "lr=1e-13 → 0.1 for 0.weight")


def test_a_layer_at_a_rate_of_zero_is_held_on_purpose() -> None:
    assert not CHECK(with_first_layer_at(0.0))


def test_a_layer_that_only_the_first_updates_replace_had_learned_nothing_yet() -> None:
    torch.manual_seed(0)
    inputs, targets = line(noise=2.0)
    make = lambda params: torch.optim.SGD(params, lr=0.3)  # noqa: E731
    seen = fit(torch.nn.Linear(10, 1), make, (inputs, 5 * targets), 60, at_exit=0, overhead=1e9)
    assert seen.probes[0].parameters["weight"].update > 0.5  # type: ignore[operator]
    assert not CHECK(seen)
