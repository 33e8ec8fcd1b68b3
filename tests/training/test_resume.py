"""A training that was cut anywhere and resumed ends as if nothing had happened, bit for bit."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from trained import Cut, data, equal, model

from thalweg.optim import SGD, Adam
from thalweg.schedules import cosine, linear, warmup
from thalweg.training import Checkpoints, Curriculum, Result, Strategy, fit
from thalweg.training.sampling import class_balanced, sampled, weighted

EPOCHS = 3


class Draw(Strategy):
    """Draws random numbers of every kind, which what follows depends on."""

    def after_update(self, training) -> None:
        with torch.no_grad():
            next(training.model.parameters()).add_(torch.randn(()) * 1e-3)


OPTIMIZERS = {
    "ours": lambda params: Adam(params, lr=cosine(0.01, steps=20).after(warmup(5))),
    "ours with momentum": lambda params: SGD(params, lr=0.01, momentum=0.9),
    "torch's": lambda params: torch.optim.AdamW(params, lr=0.01),
}
SETS = {
    "tensors": lambda: (data(), {"batch": 8}),
    "accumulated": lambda: (data(), {"batch": 4, "accumulate": 2}),
    "a growing batch": lambda: (data(), {"batch": cosine(4, steps=18, floor=11)}),
    "a data set": lambda: (Noisy(*data()), {"batch": 8}),
    "a sampler's order": lambda: (data(), {"batch": 8, "order": sampled(drawn)}),
    "weighted": lambda: (data(), {"batch": 8, "order": weighted(torch.arange(50))}),
    "class balanced": lambda: (data(), {"batch": 8, "order": class_balanced(data()[1])}),
    "a curriculum": lambda: (data(), {"batch": 8, "order": curriculum()}),
    "a loader": lambda: (DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True), {}),
    "a loader with its own generator": lambda: (
        DataLoader(
            TensorDataset(*data()), batch_size=8, shuffle=True,
            generator=torch.Generator().manual_seed(4),
        ),
        {},
    ),
}  # fmt: skip


def drawn(generator: torch.Generator) -> RandomSampler:
    return RandomSampler(range(50), generator=generator)


def curriculum(sign: int = 1) -> Curriculum:
    """Begins with the smallest or the largest inputs."""
    pacing = linear(0.6, 1.0, steps=3)
    return Curriculum(lambda inputs, targets: sign * inputs.sum(1), pacing, mix=0.3)


class Noisy(TensorDataset):
    """Draws from torch's generator for every example."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        inputs, targets = super().__getitem__(index)
        return inputs + 0.01 * torch.randn(6), targets


def run(make, source, folder, cut=None, resume=False) -> tuple[dict, Result]:
    made = model()
    optimizer = make(made.parameters())
    train, how = source()
    result = fit(
        made, optimizer, nn.functional.cross_entropy, train, data(20, 2), epochs=EPOCHS,
        strategies=[Draw(), Cut(cut)], **how,
        checkpoints=Checkpoints(folder, every=2, resume=resume),
    )  # fmt: skip
    return {**made.state_dict(), **_flat(optimizer)}, result


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{k} {name}": v for k, entry in state.items() for name, v in entry.items()}


def timeless(result: Result) -> list[tuple]:
    return [epoch[:-1] for epoch in result.history]


def check(make, source, cut, folder) -> None:
    straight, whole = run(make, source, folder / "straight")
    with pytest.raises(RuntimeError, match="cut"):
        run(make, source, folder / "cut", cut)
    torch.manual_seed(99)
    resumed, rest = run(make, source, folder / "cut", resume=True)
    assert equal(straight, resumed)
    assert timeless(whole) == timeless(rest)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_it_ends_with_the_same_bits_whatever_the_optimizer(make, tmp_path) -> None:
    check(make, SETS["tensors"], 7, tmp_path)


@pytest.mark.parametrize("cut", [1, 3, 12])
@pytest.mark.parametrize("source", SETS.values(), ids=SETS)
def test_it_ends_with_the_same_bits_whatever_the_data(source, cut, tmp_path) -> None:
    check(OPTIMIZERS["ours"], source, cut, tmp_path)


def test_a_curriculum_keeps_the_difficulties_it_began_with(tmp_path) -> None:
    """A function that judges otherwise later, as the loss of a model would, changes nothing."""

    def ended(folder: str, sign: int, cut: int | None = None, resume: bool = False) -> dict:
        def source() -> tuple:
            return data(), {"batch": 8, "order": curriculum(sign)}

        return run(OPTIMIZERS["torch's"], source, tmp_path / folder, cut, resume)[0]

    straight, other = ended("straight", 1), ended("other", -1)
    with pytest.raises(RuntimeError, match="cut"):
        ended("cut", 1, cut=7)
    resumed = ended("cut", -1, resume=True)
    assert equal(straight, resumed)
    assert not equal(straight, other)
