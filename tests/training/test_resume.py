"""A training that was cut anywhere and resumed ends as if nothing had happened, bit for bit."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from trained import Cut, data, equal, model

from thalweg.errors import BadValue
from thalweg.optim import SGD, Adam
from thalweg.schedules import cosine, linear, warmup
from thalweg.training import Checkpoints, Curriculum, Result, Strategy, fit
from thalweg.training.data.sampling import class_balanced, sampled, weighted

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
    "a loader with a sampler's generator": lambda: (DataLoader(rows(), 8, sampler=random()), {}),
    "a loader with a batch sampler's": lambda: (
        DataLoader(rows(), batch_sampler=BatchSampler(random(), 8, drop_last=False)),
        {},
    ),
    "a loader with its own generator": lambda: (
        DataLoader(
            TensorDataset(*data()), batch_size=8, shuffle=True,
            generator=torch.Generator().manual_seed(4),
        ),
        {},
    ),
}  # fmt: skip


def rows() -> TensorDataset:
    return TensorDataset(*data())


def random() -> RandomSampler:
    return RandomSampler(range(50), generator=torch.Generator().manual_seed(4))


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


class Counting(nn.Module):
    """Has a buffer that no state dict holds, and on which its outputs depend."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layer(inputs) * (1 + 0.01 * self.calls)


def ended(folder, valid, cut: int | None = None, resume: bool = False) -> tuple[list, Tensor]:
    torch.manual_seed(0)
    made = Counting()
    result = fit(
        made, SGD(made.parameters(), lr=0.1), nn.functional.cross_entropy, data(), valid(),
        batch=8, epochs=EPOCHS, strategies=[Cut(cut)],
        checkpoints=Checkpoints(folder, every=2, resume=resume),
    )  # fmt: skip
    return timeless(result), made.layer.weight


def shuffled() -> DataLoader:
    """A validation set whose order is random, so that the last bits of its loss tell of it."""
    own = torch.Generator().manual_seed(4)
    return DataLoader(TensorDataset(*data(31, 2)), batch_size=3, shuffle=True, generator=own)


def test_buffers_beside_the_state_dict_and_a_validation_loader_go_on_where_they_were(
    tmp_path,
) -> None:
    history, weight = ended(tmp_path / "straight", shuffled)
    with pytest.raises(RuntimeError, match="cut"):
        ended(tmp_path / "cut", shuffled, cut=12)
    again, same = ended(tmp_path / "cut", shuffled, resume=True)
    assert torch.equal(weight, same)
    assert again == history


def test_a_loader_with_other_generators_is_refused(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        ended(tmp_path, shuffled, cut=12)
    with pytest.raises(BadValue, match="had 1 generators of their own; those of this one have 0"):
        ended(tmp_path, lambda: data(31, 2), resume=True)


def test_workers_that_outlive_an_epoch_are_told_to_forget_their_random_numbers(tmp_path) -> None:
    made = model()
    optimizer = OPTIMIZERS["ours"](made.parameters())
    loader = DataLoader(rows(), 25, num_workers=1, persistent_workers=True)
    with pytest.warns(UserWarning, match="persistent_workers=False"):
        fit(made, optimizer, nn.functional.cross_entropy, loader, checkpoints=tmp_path)
