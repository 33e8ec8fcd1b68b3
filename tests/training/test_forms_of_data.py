"""Data may come in many forms and train the same; what cannot be trained on is refused first."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from thalweg.errors import BadType, BadValue
from thalweg.schedules import linear
from thalweg.training import Curriculum, InOrder, Result, evaluate, fit, sampled
from thalweg.training.data.forms import Chosen, Items, Rows, Stream, as_data

COUNT = 40


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(COUNT, 6, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()


class Pairs(Dataset):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return tuple(part[index] for part in pair())  # type: ignore[return-value]


class Anew:
    """An iterable of batches that begins anew each time."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = pair()
        return zip(inputs.split(8), targets.split(8), strict=True)


def saved(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pair as files, mapped into memory and read-only."""
    for name, part in zip(("inputs", "targets"), pair(), strict=True):
        np.save(folder / f"{name}.npy", part.numpy())
    inputs = np.load(folder / "inputs.npy", mmap_mode="r")
    return inputs, np.load(folder / "targets.npy", mmap_mode="r")


def read_only() -> list[np.ndarray]:
    arrays = [part.numpy().copy() for part in pair()]
    for each in arrays:
        each.flags.writeable = False
    return arrays


def strided() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = pair()
    return np.asfortranarray(inputs.numpy()), np.repeat(targets.numpy(), 2)[::2]


FORMS: dict[str, Any] = {
    "tensors": lambda folder: pair(),
    "arrays": lambda folder: [part.numpy() for part in pair()],
    "read-only arrays": lambda folder: read_only(),
    "arrays with gaps": lambda folder: strided(),
    "memory maps": saved,
    "a TensorDataset": lambda folder: TensorDataset(*pair()),
    "a Subset of one": lambda folder: Subset(TensorDataset(*doubled()), range(1, 2 * COUNT, 2)),
    "a Dataset": lambda folder: Pairs(),
    "a Subset of a Dataset": lambda folder: Subset(Pairs(), range(COUNT)),
}
STREAMS: dict[str, Any] = {
    "a loader": lambda: DataLoader(TensorDataset(*pair()), batch_size=8),
    "a loader of a Dataset": lambda: DataLoader(Pairs(), batch_size=8, num_workers=0),
    "an iterable": Anew,
    "a list of batches": lambda: list(Anew()),
    "lists as batches": lambda: [list(batch) for batch in Anew()],
}


def doubled() -> tuple[Tensor, ...]:
    """The pair with a row of nonsense before every row."""
    return tuple(torch.stack([1 - part, part], 1).flatten(0, 1) for part in pair())


def model_of(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), *more, nn.Tanh(), nn.Linear(4, 2))


def trained(data: Any, model: nn.Module | None = None, **how: Any) -> Result:
    model = model or model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return fit(model, optimizer, nn.functional.cross_entropy, data, **{"epochs": 2, **how})


def weights(result: Result) -> list[list[float]]:
    return [parameter.flatten().tolist() for parameter in result.model.parameters()]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("order", [InOrder(), None], ids=["in order", "shuffled"])
def test_the_form_of_the_data_does_not_change_the_training(form, order, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trained(form(tmp_path), batch=8, order=order)
    assert weights(found) == weights(trained(pair(), batch=8, order=order))


@pytest.mark.parametrize("form", STREAMS.values(), ids=STREAMS)
def test_the_batches_of_a_loader_are_taken_as_they_come(form) -> None:
    assert weights(trained(form())) == weights(trained(pair(), batch=8, order=InOrder()))


@pytest.mark.parametrize("form", [*FORMS.values()], ids=FORMS)
def test_data_in_any_form_can_be_evaluated(form, tmp_path) -> None:
    found = evaluate(model_of(), nn.functional.cross_entropy, form(tmp_path), batch=7)
    expected = evaluate(model_of(), nn.functional.cross_entropy, pair(), batch=7)
    assert found == expected


class Augmented(TensorDataset):
    def __getitem__(self, index):
        inputs, targets = super().__getitem__(index)
        return -inputs, targets


class Flipped(Subset):
    def __getitem__(self, index):
        inputs, targets = super().__getitem__(index)
        return -inputs, targets

    def __getitems__(self, indices):
        return [self[index] for index in indices]


FAST = {
    "a TensorDataset": (lambda: TensorDataset(*pair()), Rows),
    "a Subset of one": (lambda: Subset(TensorDataset(*pair()), [3, 3, 1]), Chosen),
    "an empty Subset": (lambda: Subset(TensorDataset(*pair()), []), Chosen),
    "numbers from the end": (lambda: Subset(TensorDataset(*pair()), [-1]), Items),
    "a Subset of three tensors": (
        lambda: Subset(TensorDataset(*pair(), pair()[1]), [1]), Items,
    ),
    "a TensorDataset that does more": (lambda: Augmented(*pair()), Items),
    "a Subset that does more": (lambda: Flipped(TensorDataset(*pair()), [1]), Items),
}  # fmt: skip


@pytest.mark.parametrize(("make", "kind"), FAST.values(), ids=FAST)
def test_rows_are_taken_at_once_where_that_is_all_a_data_set_does(make, kind) -> None:
    assert type(as_data(make())) is kind


@pytest.mark.parametrize("make", [Augmented, lambda *parts: Flipped(TensorDataset(*parts), [0, 1])])
def test_what_a_data_set_does_to_its_examples_is_done(make) -> None:
    inputs, _ = as_data(make(*pair())).take(torch.tensor([1, 0]))  # type: ignore[union-attr]
    assert torch.equal(inputs, -pair()[0][[1, 0]])


class Counted(np.memmap):
    """A memory map that counts the rows that are read from it."""

    rows = 0

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        Counted.rows += len(found)
        return found


WIDE, LONG = 2**16, 2**19


@pytest.fixture
def huge(tmp_path: Path) -> Counted:
    """A file of 128 GiB, of which the file system keeps only what was written: nothing."""
    path = tmp_path / "inputs"
    with path.open("wb") as file:
        try:
            file.truncate(WIDE * LONG * 4)
        except OSError as error:
            pytest.skip(f"no file of 128 GiB can be made here: {error}")
    return Counted(path, np.float32, "r", shape=(LONG, WIDE))


def test_of_a_file_larger_than_memory_only_the_rows_of_a_batch_are_read(huge) -> None:
    chosen = sampled(lambda generator: torch.randint(LONG, (24,), generator=generator).tolist())

    def rows_read(epochs: int) -> int:
        model = nn.Linear(WIDE, 1)
        Counted.rows = 0
        fit(
            model, torch.optim.SGD(model.parameters(), lr=0.1), nn.functional.mse_loss,
            (huge, np.ones((LONG, 1), np.float32)), batch=8, epochs=epochs, order=chosen, watch=3,
        )  # fmt: skip
        return Counted.rows

    assert rows_read(3) - rows_read(1) == 2 * 24
    assert rows_read(1) < 2000, "what is looked through beforehand is a small part"


UNFIT = {
    "big-endian numbers": (np.zeros((4, 2), ">f4" if np.little_endian else "<f4"), "byte order"),
    "objects": (np.array([[1], [None]], dtype=object), "object"),
    "words": (np.array([["a"], ["b"]]), "<U1|>U1"),
    "dates": (np.zeros((4, 2), "datetime64[s]"), "datetime"),
}


@pytest.mark.parametrize(("array", "words"), UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize("place", [0, 1], ids=["inputs", "targets"])
def test_arrays_of_what_no_tensor_holds_are_refused(array, words, place) -> None:
    parts = [np.zeros((len(array), 2), np.float32)] * 2
    parts[place] = array
    with pytest.raises(BadType, match=words):
        trained(tuple(parts), batch=1)


class Dicts(Dataset):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": torch.zeros(6), "labels": torch.tensor(0)}


class Endless(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(*pair(), strict=True)


REFUSED: dict[str, tuple[Any, str]] = {
    "dicts": (Dicts(), "is dict; expected a pair"),
    "dicts from a loader": (DataLoader(Dicts(), batch_size=8), "is dict; expected a pair"),
    "three parts": (TensorDataset(*pair(), pair()[1]), "expected a pair"),
    "inputs alone": (TensorDataset(pair()[0]), "expected a pair"),
    "an iterator": (iter(Anew()), "only once"),
    "an iterable data set": (Endless(), "DataLoader"),
    "a tensor": (pair()[0], "expected a pair of tensors"),
    "a path": ("data.npy", "expected a pair of tensors"),
    "numbers": (3, "expected a pair of tensors"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_pairs_is_refused_with_a_word_of_what_is(data, words) -> None:
    model = model_of()
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(BadType, match=words):
        trained(data, model, batch=4)
    assert all(map(torch.equal, before, model.parameters()))


def test_a_stream_of_an_iterable_data_set_trains() -> None:
    found = trained(DataLoader(Endless(), batch_size=8))
    assert isinstance(as_data(DataLoader(Endless())), Stream)
    assert weights(found) == weights(trained(pair(), batch=8, order=InOrder()))


LEAVES_ONE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a last batch": (pair(), {"batch": 13}),
    "batches of one": (pair(), {"batch": 1}),
    "accumulated": (pair(), {"batch": 3, "accumulate": 5}),
    "a curriculum": (
        pair(),
        {"batch": 8, "order": Curriculum(range(COUNT), lambda epoch: (1.0, 0.825)[epoch])},
    ),
    "a growing batch": (pair(), {"batch": linear(8, 13, steps=6)}),
    "a data set": (Pairs(), {"batch": 3}),
    "a loader": (DataLoader(Pairs(), batch_size=39), {}),
}


@pytest.mark.parametrize(("data", "how"), LEAVES_ONE.values(), ids=LEAVES_ONE)
def test_a_batch_of_one_is_refused_where_the_model_normalizes_batches(data, how) -> None:
    model = model_of(nn.BatchNorm1d(4), nn.Dropout()).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(BadValue, match=r"single example.*batch normalization"):
        trained(data, model, **how)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(module.training for module in model.modules())


WITHOUT_ONE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a batch of two": (pair(), {"batch": 19}),
    "no rest": (pair(), {"batch": 8}),
    "all": (pair(), {"batch": "all"}),
    "a growing batch": (pair(), {"batch": linear(8, 12, steps=6)}),
    "what is left out": (DataLoader(Pairs(), batch_size=39, drop_last=True), {}),
}


@pytest.mark.parametrize(("data", "how"), WITHOUT_ONE.values(), ids=WITHOUT_ONE)
def test_batch_normalization_trains_where_no_example_is_alone(data, how) -> None:
    assert len(trained(data, model_of(nn.BatchNorm1d(4)), **how).history) == 2


class Repeated(nn.Module):
    """Makes a sequence of each example, over which batch normalization has enough to compute."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(2).expand(-1, -1, 3)


class Mean(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.mean(2)


@pytest.mark.parametrize(
    "layers", [(), (nn.LayerNorm(4),), (Repeated(), nn.BatchNorm1d(4), Mean())]
)
def test_a_batch_of_one_trains_where_nothing_is_computed_across_examples(layers: Iterable) -> None:
    assert trained(pair(), model_of(*layers), batch=13).history[-1].examples == 2 * COUNT


def test_a_trial_leaves_the_statistics_of_batch_normalization_as_they_were() -> None:
    with_one, without = (model_of(Repeated(), nn.BatchNorm1d(4), Mean()) for _ in range(2))
    trained(pair(), with_one, batch=1, order=InOrder(), watch=0, epochs=1)
    optimizer = torch.optim.SGD(without.parameters(), lr=0.1)
    for inputs, targets in zip(*pair(), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(without(inputs[None]), targets[None]).backward()
        optimizer.step()
    expected = without.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in with_one.state_dict().items())
