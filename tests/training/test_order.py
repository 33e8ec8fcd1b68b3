"""Each order sees the examples it promises, and one that cannot work is refused beforehand."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler

from thalweg.errors import BadType, BadValue
from thalweg.schedules import constant, linear
from thalweg.training import Curriculum, InOrder, Order, Shuffled, fit
from thalweg.training.data.forms import Rows
from thalweg.training.data.order import generator_of
from thalweg.training.data.sampling import class_balanced, sampled, weighted

COUNT, EPOCHS = 200, 5
HARDNESS = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3)).double()


def examples(count: int = COUNT) -> Rows:
    return Rows(torch.arange(count).double().unsqueeze(1), torch.arange(count))


def epochs(order: Order, count: int = COUNT, seed: int = 0) -> list[list[int]]:
    """The examples of every epoch."""
    order.prepare(examples(count), EPOCHS)
    found = [order.indices(count, k, generator_of(seed, k)) for k in range(EPOCHS)]
    assert [order.length(count, k) for k in range(EPOCHS)] == [len(each) for each in found]
    return [torch.as_tensor(list(each)).tolist() for each in found]


def hardest(epoch: list[int]) -> float:
    return HARDNESS[epoch].max().item()


ORDERS = {
    "in order": InOrder,
    "shuffled": Shuffled,
    "sampled": lambda: sampled(lambda g: RandomSampler(range(COUNT), generator=g)),
    "weighted": lambda: weighted(HARDNESS),
    "class balanced": lambda: class_balanced(HARDNESS.long() % 3),
    "curriculum": lambda: Curriculum(HARDNESS, linear(0.2, 1.0, steps=EPOCHS)),
    "mixed curriculum": lambda: Curriculum(HARDNESS, linear(0.2, 1.0, steps=EPOCHS), mix=0.5),
}
RANDOM = [name for name in ORDERS if name != "in order"]


@pytest.mark.parametrize("make", ORDERS.values(), ids=ORDERS)
def test_an_epoch_depends_on_its_number_and_the_seed_alone(make) -> None:
    torch.manual_seed(1)
    first = epochs(make())
    torch.manual_seed(2)
    order = make()
    order.prepare(examples(), EPOCHS)
    backwards = [
        order.indices(COUNT, k, generator_of(0, k)) for k in reversed(range(EPOCHS))
    ]  # fmt: skip
    assert first == [torch.as_tensor(list(each)).tolist() for each in reversed(backwards)]


@pytest.mark.parametrize("name", RANDOM)
def test_every_epoch_and_every_seed_is_another(name) -> None:
    made = [epochs(ORDERS[name](), seed=seed) for seed in (0, 1)]
    assert len({tuple(epoch) for each in made for epoch in each}) == 2 * EPOCHS


@pytest.mark.parametrize("make", ORDERS.values(), ids=ORDERS)
def test_the_random_state_of_torch_is_left_as_it_was(make) -> None:
    before = torch.get_rng_state()
    epochs(make())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("order", [InOrder(), Shuffled(), Curriculum(HARDNESS, constant(1.0))])
def test_an_epoch_sees_every_example_once(order) -> None:
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs(order))


def test_a_sampler_decides_what_an_epoch_sees() -> None:
    assert epochs(sampled(lambda g: SequentialSampler(range(7))))[0] == list(range(7))
    some = sampled(lambda g: SubsetRandomSampler([3, 1, 4], generator=g))
    assert all(sorted(epoch) == [1, 3, 4] for epoch in epochs(some))


def chances_hold(counts: dict[int, int], chances: dict[int, float], draws: int) -> bool:
    """Whether all counts are within five standard deviations of what was promised."""
    return all(
        abs(counts.get(each, 0) - draws * p) <= 5 * math.sqrt(draws * p * (1 - p))
        for each, p in chances.items()
    )


def test_examples_are_drawn_in_proportion_to_their_weights() -> None:
    weights = [0.0, 1.0, 2.0, 5.0]
    order = weighted(weights, count=20_000)
    drawn = Counter(epochs(order, count=4)[0])
    assert drawn.total() == 20_000
    assert chances_hold(drawn, {k: w / 8 for k, w in enumerate(weights)}, 20_000)


def test_without_replacement_no_example_is_drawn_twice() -> None:
    order = weighted(HARDNESS, count=COUNT - 1, replacement=False)
    never = int(HARDNESS.argmin())
    for epoch in epochs(order):
        assert sorted({*epoch, never}) == list(range(COUNT))
        assert len(epoch) == COUNT - 1


@pytest.mark.parametrize("kind", [torch.tensor, list])
def test_every_class_is_drawn_as_often_as_any_other(kind) -> None:
    targets = [7] * 150 + [0] * 45 + [-2] * 5
    epoch = epochs(class_balanced(kind(targets), count=30_000))[0]
    classes = Counter(targets[each] for each in epoch)
    assert chances_hold(classes, dict.fromkeys((7, 0, -2), 1 / 3), 30_000)
    within = Counter(each for each in epoch if targets[each] == -2)
    assert chances_hold(within, dict.fromkeys(range(195, 200), 0.2), within.total())


def test_a_curriculum_sees_the_easiest_share_of_the_examples() -> None:
    found = epochs(Curriculum(HARDNESS, linear(0.2, 1.0, steps=EPOCHS)))
    assert [len(epoch) for epoch in found] == [40, 80, 120, 160, 200]
    assert [hardest(epoch) for epoch in found] == [39, 79, 119, 159, 199]
    assert all(len(set(epoch)) == len(epoch) for epoch in found)


def test_a_curriculum_judges_each_example_once_with_its_inputs_and_targets() -> None:
    calls = []

    def difficulty(inputs: Tensor, targets: Tensor) -> Tensor:
        calls.append(targets)
        assert torch.equal(inputs.squeeze(1).long(), targets)
        return -inputs.squeeze(1)

    order = Curriculum(difficulty, lambda epoch: 0.01)
    assert all(sorted(epoch) == list(range(2475, 2500)) for epoch in epochs(order, count=2500))
    assert torch.equal(torch.cat(calls), torch.arange(2500))


def test_equally_difficult_examples_stand_as_in_the_training_set() -> None:
    order = Curriculum([1, 0] * (COUNT // 2), lambda epoch: 0.25)
    assert sorted(epochs(order)[0]) == list(range(1, COUNT // 2, 2))


def test_a_share_of_a_mixed_epoch_comes_from_the_whole_set() -> None:
    """Of 100 examples a half is drawn from all 1,000, so that about 45 are not of the easy 100."""
    order = Curriculum(torch.arange(1000), lambda epoch: 0.1, mix=0.5)
    found = epochs(order, count=1000)
    assert all(len(set(epoch)) == len(epoch) == 100 for epoch in found)
    hard = sum(each >= 100 for epoch in found for each in epoch)
    assert chances_hold({1: hard}, {1: 0.9}, 50 * EPOCHS)
    assert all(sum(each < 100 for each in epoch) >= 50 for epoch in found)


def test_a_mixed_epoch_is_shuffled_as_a_whole() -> None:
    order = Curriculum(torch.arange(1000), lambda epoch: 0.1, mix=0.5)
    halves = [
        sum(each >= 100 for each in half)
        for epoch in epochs(order, count=1000)
        for half in (epoch[:50], epoch[50:])
    ]
    assert min(halves) > 10


def test_a_curriculum_mixed_entirely_is_a_random_part() -> None:
    found = epochs(Curriculum(torch.arange(1000), lambda epoch: 0.1, mix=1.0), count=1000)
    below = sum(each < 500 for epoch in found for each in epoch)
    assert chances_hold({1: below}, {1: 0.5}, 100 * EPOCHS)


class Anything:
    """What fit needs where nothing may be done with it."""

    def __getattr__(self, name: str):
        raise AssertionError(f"training had begun: {name}")


curriculum: Any = Curriculum
draws: Any = sampled
"""Both called in ways that a type checker would not allow."""

BAD_ORDERS = {
    "no examples": (lambda: curriculum(HARDNESS, lambda k: 0.0), "epoch 0 is 0"),
    "fewer than one": (lambda: curriculum(HARDNESS, lambda k: 0.002), "none of 200 .* 0.005"),
    "NaN": (lambda: curriculum(HARDNESS, lambda k: math.nan), "epoch 0 is nan"),
    "more than all": (lambda: curriculum(HARDNESS, lambda k: 1.01), "epoch 0 is 1.01"),
    "negative": (lambda: curriculum(HARDNESS, lambda k: -0.5), "epoch 0 is -0.5"),
    "shrinking": (lambda: curriculum(HARDNESS, linear(1, 0, steps=EPOCHS)), "epoch 4 is 0"),
    "no number": (lambda: curriculum(HARDNESS, lambda k: "half"), "epoch 0 is 'half'"),
    "no pacing": (lambda: curriculum(HARDNESS, 0.5), "function of the epoch"),
    "NaN difficulty": (lambda: curriculum([0.0] * 199 + [math.nan], lambda k: 1), "199 is nan"),
    "few difficulties": (lambda: curriculum([0.0, 1.0], lambda k: 1), r"200 .* \(2,\)"),
    "one for a batch": (
        lambda: curriculum(lambda x, y: x.mean(), lambda k: 1), r"200 .* shape \(\)",
    ),
    "words": (lambda: curriculum(["easy"] * 200, lambda k: 1), "a number for each"),
    "mix": (lambda: curriculum(HARDNESS, lambda k: 1, mix=1.5), "mix=1.5"),
    "negative weight": (lambda: weighted([1.0] * 199 + [-1.0]), "199 is -1"),
    "NaN weight": (lambda: weighted([math.nan] * 200), "example 0 is nan"),
    "all weights 0": (lambda: weighted(torch.zeros(200)), "all weights are 0"),
    "no weights": (lambda: weighted([]), r"shape \(0,\)"),
    "wrong length": (lambda: weighted([1.0, 2.0]), "2 examples; the training set has 200"),
    "table of weights": (lambda: weighted(torch.ones(200, 1)), r"\(200, 1\)"),
    "no draws": (lambda: weighted(HARDNESS, count=0), "count=0"),
    "too many draws": (
        lambda: weighted(HARDNESS, count=200, replacement=False), "199 have a weight",
    ),
    "classes of other data": (lambda: class_balanced(torch.zeros(9).long()), "9 examples"),
    "targets that are no classes": (lambda: class_balanced(HARDNESS), "whole number"),
    "no targets": (lambda: class_balanced(torch.zeros(0).long()), r"shape \(0,\)"),
    "outside": (lambda: draws(lambda g: [0, 200]), "number 200; .* has 200"),
    "below": (lambda: draws(lambda g: [0, -1]), "number -1"),
    "empty sampler": (lambda: draws(lambda g: []), "draws no examples"),
    "fractions": (lambda: draws(lambda g: [0.5]), "float"),
    "batches": (
        lambda: draws(lambda g: BatchSampler(range(200), 64, drop_last=False)), "batch sampler",
    ),
    "even batches": (
        lambda: draws(lambda g: BatchSampler(range(200), 50, drop_last=False)), r"\(4, 50\)",
    ),
    "another generator": (
        lambda: draws(lambda g: RandomSampler(range(200))), "generator=generator",
    ),
    "a sampler itself": (lambda: draws(RandomSampler(range(200))), "expected a function"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_an_order_that_cannot_work_is_refused_before_anything_is_touched(make, words) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        fit(
            Anything(), Anything(), Anything(), (examples().inputs, examples().targets),  # type: ignore[arg-type]
            epochs=EPOCHS, order=make(),
        )  # fmt: skip


def test_an_epoch_has_as_many_updates_as_its_order_asks_for() -> None:
    model = nn.Linear(1, 1).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    result = fit(
        model, optimizer, nn.functional.mse_loss,
        (examples().inputs, examples().inputs), batch=30, epochs=2,
        order=Curriculum(HARDNESS, linear(0.2, 1.0, steps=EPOCHS)),
    )  # fmt: skip
    assert [epoch.examples for epoch in result.history] == [40, 120]
    assert [epoch.updates for epoch in result.history] == [2, 5]
