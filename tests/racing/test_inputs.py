"""A race takes a problem in any form, checks it once, and repeats itself whatever draws numbers."""

import math
import pickle
import random
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
)

import thalweg
from thalweg import problems
from thalweg.errors import BadFile, BadType, BadValue
from thalweg.problems import Problem, Split, define
from thalweg.problems.seeded import seeded
from thalweg.racing import prepare, race
from thalweg.racing.beginning import beginning, generators
from thalweg.racing.result import FINAL, TRIAL, Terms
from thalweg.racing.tensors import as_tensors


def blobs(seed: int, count: int = 48) -> Split:
    """Return three clouds of points."""
    noise = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    return Split(torch.eye(3, 4)[targets] * 3 + torch.randn(count, 4, generator=noise), targets)


TRAIN, VALID, TEST = blobs(1), blobs(2), blobs(3)


def model() -> nn.Module:
    """Return a small classifier."""
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def raced(train: Any, valid: Any = VALID, test: Any = None, **terms: Any):
    """Race two rules for a moment."""
    given = {"trials": 2, "seeds": 2, "reference": None, "schedule": "constant", **terms}
    problem = define(model, train, valid, test, batch=8, epochs=2, name="blobs")
    return race(problem, ["sgd", "adam"], **given)


@pytest.fixture(scope="module")
def plain():
    """Return the race on tensors."""
    return raced(TRAIN, VALID, TEST)


def curves(result) -> list:
    return [run.curve for run in result.runs]


class Items(Dataset):
    """A map-style data set."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.reads = 0

    def __len__(self) -> int:
        return len(self.split.targets)

    def __getitem__(self, index):
        self.reads += 1
        return self.split.inputs[index], int(self.split.targets[index])


class Noisy(Items):
    """Draws other noise for an example whenever it is read."""

    def __getitem__(self, index):
        inputs, targets = super().__getitem__(index)
        return inputs + self.noise(), targets

    def noise(self):
        return 0.1 * torch.randn(4)


class NumpyNoise(Noisy):
    def noise(self):
        return torch.from_numpy(0.1 * np.random.standard_normal(4).astype(np.float32))


class PythonNoise(Noisy):
    def noise(self):
        return 0.1 * random.random()


class OwnNoise(Noisy):
    def __init__(self, split: Split) -> None:
        super().__init__(split)
        self.generator = np.random.default_rng(5)

    def noise(self):
        return 0.1 * self.generator.random(dtype=np.float32)


class Flow(IterableDataset):
    """Yields its examples, and does not say how many."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __iter__(self):
        return zip(*self.split, strict=True)


def on_disk(split: Split, folder, name: str) -> Split:
    found = []
    for part, rows in zip(split._fields, split, strict=True):
        path = folder / f"{name}-{part}.npy"
        np.save(path, rows.numpy())
        found.append(np.load(path, mmap_mode="r"))
    return Split(*found)


def backwards(split: Split) -> tuple:
    return tuple(np.ascontiguousarray(part.numpy()[::-1])[::-1] for part in split)


@pytest.mark.parametrize(
    "form",
    [
        lambda split: tuple(part.numpy() for part in split),
        backwards,
        lambda split: TensorDataset(*split),
        Items,
        lambda split: Subset(Items(split), range(len(split.targets))),
        lambda split: Subset(TensorDataset(*split), range(len(split.targets))),
        lambda split: ConcatDataset([Items(Split(*(p[:20] for p in split))),
                                     Items(Split(*(p[20:] for p in split)))]),
    ],
)  # fmt: skip
def test_the_same_data_in_any_form_make_the_same_race(form, plain) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = raced(form(TRAIN), form(VALID), form(TEST))
    assert curves(found) == curves(plain)
    assert found.remarks == plain.remarks


def test_memory_maps_are_raced_on_where_they_are(tmp_path, plain) -> None:
    train, valid = on_disk(TRAIN, tmp_path, "train"), on_disk(VALID, tmp_path, "valid")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = raced(train, valid)
    assert curves(found) == curves(plain)
    ready: Any = as_tensors(define(model, train, valid))
    assert ready.train.inputs.data_ptr() == train.inputs.ctypes.data


def test_a_data_set_is_read_once_for_all_trainings() -> None:
    data = Items(TRAIN)
    prepare(define(model, data, VALID), ["sgd"])
    before = data.reads
    raced(data)
    raced(data, trials=8)
    assert (data.reads - before) / 2 <= before


@pytest.mark.parametrize("noisy", [Noisy, NumpyNoise, PythonNoise, OwnNoise])
def test_a_data_set_that_draws_random_numbers_is_read_anew_by_every_training(noisy, plain) -> None:
    data = noisy(TRAIN)
    assert as_tensors(define(model, data, VALID)).train is data
    found = raced(data)
    assert curves(found) == curves(raced(data))
    assert curves(found) != curves(plain)
    assert all(math.isfinite(run.loss) for run in found.runs)


def test_a_data_set_too_large_for_memory_is_read_anew_by_every_training(monkeypatch) -> None:
    monkeypatch.setattr("thalweg.racing.tensors.LARGEST", 100)
    data = Items(TRAIN)
    assert as_tensors(define(model, data, VALID)).train is data
    assert all(math.isfinite(run.loss) for run in raced(data).runs)


class Mislabelled(Items):
    def __getitem__(self, index):
        return self.split.inputs[index], 7 if index == 41 else int(self.split.targets[index])


def test_every_row_of_a_data_set_is_checked_once_it_was_read() -> None:
    problem = define(model, Mislabelled(TRAIN), VALID)
    with pytest.raises(BadValue, match="row 41 of train is labelled 7"):
        prepare(problem, ["sgd"])


class Ragged(Items):
    def __getitem__(self, index):
        return self.split.inputs[index][: 4 if index < 40 else 3], int(self.split.targets[index])


class Named(Items):
    def __getitem__(self, index):
        return {"x": self.split.inputs[index]}, int(self.split.targets[index])


@pytest.mark.parametrize("odd", [Ragged, Named])
def test_examples_that_are_no_tensors_of_one_shape_are_left_to_their_data_set(odd) -> None:
    data: Any = odd(TRAIN)
    problem = Problem("odd", "", lambda seed: model(), data, VALID, None, cross_entropy, 8, 1, {})
    assert as_tensors(problem) is problem


def test_reading_a_data_set_leaves_the_random_numbers_where_they_were() -> None:
    problem = define(model, Noisy(TRAIN), VALID)
    state = torch.get_rng_state()
    as_tensors(problem)
    assert torch.equal(torch.get_rng_state(), state)


class OwnOrder(Sampler):
    """Shuffles by a generator that goes on from epoch to epoch."""

    def __init__(self, generator: Any, shuffle: Any) -> None:
        self.generator, self.shuffle = generator, shuffle

    def __len__(self) -> int:
        return 48

    def __iter__(self):
        return iter(self.shuffle(self.generator))


def shuffled(generator: random.Random) -> list[int]:
    order = list(range(48))
    generator.shuffle(order)
    return order


DATA = TensorDataset(*TRAIN)
LOADERS = {
    "shuffle": lambda: DataLoader(DATA, 8, shuffle=True),
    "generator": lambda: DataLoader(
        DATA, 8, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "sampler": lambda: DataLoader(
        DATA, 8, sampler=RandomSampler(DATA, generator=torch.Generator().manual_seed(4))
    ),
    "batches": lambda: DataLoader(
        DATA,
        batch_sampler=BatchSampler(
            RandomSampler(DATA, generator=torch.Generator().manual_seed(4)), 8, True
        ),
    ),
    "numpy": lambda: DataLoader(
        DATA,
        8,
        sampler=OwnOrder(np.random.default_rng(1), lambda g: g.permutation(48).tolist()),
    ),
    "old numpy": lambda: DataLoader(
        DATA,
        8,
        sampler=OwnOrder(np.random.RandomState(1), lambda g: g.permutation(48).tolist()),
    ),
    "python": lambda: DataLoader(DATA, 8, sampler=OwnOrder(random.Random(1), shuffled)),
    "global numpy": lambda: DataLoader(
        DATA, 8, sampler=OwnOrder(None, lambda g: np.random.permutation(48).tolist())
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", LOADERS.values(), ids=LOADERS)
def test_a_race_on_a_loader_repeats_itself_and_pairs_its_seeds(made) -> None:
    loader, seen = made(), []

    def loss(output, targets):
        if output.requires_grad:
            seen.append(targets.tolist())
        return cross_entropy(output, targets)

    problem = define(model, loader, VALID, epochs=2, loss=loss)
    first = race(problem, ["sgd", "adam"], trials=2, seeds=2, reference=None)
    batches = [seen[k : k + 12] for k in range(len(seen) % 12, len(seen), 12)]
    orders = {
        (run.task.phase, run.task.seed): order
        for run, order in zip(first.runs, batches, strict=True)
    }
    assert len(orders) == 3
    for run, order in zip(first.runs, batches, strict=True):
        assert order == orders[run.task.phase, run.task.seed]
    assert orders[TRIAL, 0] != orders[FINAL, 1] != orders[FINAL, 2]
    assert orders[TRIAL, 0][:6] != orders[TRIAL, 0][6:]
    assert curves(race(problem, ["sgd", "adam"], trials=2, seeds=2, reference=None)) == curves(
        first
    )
    assert (first.header.batch_size, first.header.updates) == (8, 6)


def test_noise_that_the_workers_of_a_loader_draw_is_repeated_too() -> None:
    problem = define(model, DataLoader(Noisy(TRAIN), 16, shuffle=True, num_workers=1), VALID)
    terms: dict[str, Any] = {"trials": 1, "seeds": 1, "epochs": 1, "reference": None}
    first, again = (race(problem, ["sgd"], **terms) for _ in "12")
    assert curves(first) == curves(again)


def test_a_loader_that_keeps_its_workers_is_warned_of() -> None:
    loader: Any = DataLoader(Noisy(TRAIN), 16, num_workers=1, persistent_workers=True)
    with pytest.warns(UserWarning, match="persistent_workers=False"):
        prepare(define(model, loader, VALID), ["sgd"])


def test_a_race_leaves_every_generator_as_it_was() -> None:
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(DATA, 8, shuffle=True, generator=generator)
    before = generator.get_state()
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    raced(loader)
    assert torch.equal(generator.get_state(), before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (str(np.random.get_state()), random.getstate()) == states[1:]


def test_generators_are_found_in_data_sets_within_data_sets() -> None:
    inner = [OwnNoise(TRAIN), OwnNoise(VALID)]
    loader: Any = DataLoader(ConcatDataset([Subset(inner[0], [1]), inner[1]]), shuffle=True)
    found = {id(each) for _, each in generators(loader)}
    assert found == {id(each.generator) for each in inner}


def test_generators_of_one_training_do_not_draw_the_same_numbers() -> None:
    first, other = OwnNoise(TRAIN), OwnNoise(VALID)
    with beginning(0, first, other):
        assert first.generator.random() != other.generator.random()


def test_a_loader_that_does_not_say_how_many_batches_it_has_is_counted() -> None:
    found = raced(DataLoader(Flow(TRAIN), batch_size=10))
    assert (found.header.updates, found.header.batch_size) == (5, 10)
    assert found.runs[0].task.phase == TRIAL
    assert all(math.isfinite(run.loss) for run in found.runs)


def test_validation_and_test_sets_may_be_loaders(plain) -> None:
    loaders = [DataLoader(TensorDataset(*part), 48) for part in (VALID, TEST)]
    found = raced(TRAIN, *loaders)
    assert [row.name for row in found.board] == [row.name for row in plain.board]
    for one, other in zip(found.runs, plain.runs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)


def test_the_rbm_whose_loss_writes_its_gradient_is_raced_by_the_loop() -> None:
    problem = replace(problems.load("rbm"), epochs=1)
    terms: dict[str, Any] = {"trials": 2, "seeds": 2, "reference": None}
    first, again = (race(problem, ["sgd", "momentum"], **terms) for _ in "12")
    assert curves(first) == curves(again)
    assert "writes its own gradient" in first.remarks[0]


def test_all_examples_may_make_one_batch() -> None:
    problem = define(model, TRAIN, VALID, batch="all", epochs=2)
    header = race(problem, ["sgd"], trials=1, seeds=1, reference=None).header
    assert (header.batch_size, header.updates) == (48, 1)


# What is refused, and that it is before anything is trained.


def broken(**parts: Any) -> Problem:
    given: dict[str, Any] = {
        "name": "odd", "description": "", "make_model": seeded(model), "train": TRAIN,
        "validation": VALID, "test": None, "loss": cross_entropy, "batch_size": 8, "epochs": 1,
        "known": {}, **parts,
    }  # fmt: skip
    return Problem(**given)


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3).requires_grad_(False)

    def forward(self, inputs):
        return self.layer(inputs)


class Writes:
    """A loss that writes the gradient itself."""

    def __call__(self, output, targets):
        return cross_entropy(output, targets)

    def gradient(self, model, inputs, targets):
        raise AssertionError("trained")


def nan_loss(output, targets):
    return cross_entropy(output, targets) * math.nan


def nan_in_training(output, targets):
    return cross_entropy(output, targets) * (math.nan if len(targets) == 32 else 1.0)


EMPTY = (torch.empty(0, 4), torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"train": DataLoader(TensorDataset(*EMPTY))}, BadValue, "train is empty"),
        ({"validation": DataLoader(TensorDataset(*EMPTY))}, BadValue, "validation is empty"),
        ({"train": DataLoader(DATA, 64, drop_last=True)}, BadValue, "yields no batch"),
        ({"train": DataLoader(Flow(Split(*EMPTY)), 4)}, BadValue, "is empty"),
        ({"make_model": lambda seed: nn.Identity()}, BadValue, "no parameter of the model"),
        ({"make_model": seeded(Frozen)}, BadValue, "no parameter of the model"),
        (
            {"make_model": seeded(Frozen), "loss": Writes()},
            BadValue,
            "no parameter of the model",
        ),
        ({"loss": lambda output, targets: output.sum(1)}, BadValue, "tensor of one number"),
        ({"loss": lambda output, targets: 3.0}, BadValue, "tensor of one number"),
        ({"loss": nan_loss}, BadValue, "validation loss of 'odd' is nan before any training"),
        ({"loss": nan_in_training}, BadValue, "training loss of 'odd' is nan before any tr"),
        ({"validation": None}, BadValue, "a race chooses and judges on a validation set"),
        ({"validation": TRAIN}, BadValue, "the training set itself"),
        ({"batch_size": 49}, BadValue, "batch=49 is more than the 48 examples"),
        ({"epochs": 0}, BadValue, "epochs=0"),
        (
            {"make_model": seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))),
             "batch_size": 47},
            BadValue,
            "a single example",
        ),
        (
            {"train": Split(TRAIN.inputs.numpy().astype(">f4"), TRAIN.targets)},
            BadType,
            "byte order",
        ),
    ],
)  # fmt: skip
def test_a_problem_that_cannot_be_raced_on_is_refused_before_the_first_trial(
    parts, error, message
) -> None:
    with pytest.raises(error, match=message):
        prepare(broken(**parts), ["sgd"])


def test_targets_without_classes_have_no_errors_to_race_by() -> None:
    autoencoder = broken(
        make_model=seeded(lambda: nn.Linear(4, 4)), loss=nn.functional.mse_loss,
        train=Split(TRAIN.inputs, TRAIN.inputs), validation=Split(VALID.inputs, VALID.inputs),
    )  # fmt: skip
    with pytest.raises(BadValue, match="no classes to be right or wrong about"):
        prepare(autoencoder, ["sgd"], Terms(metric="error"))
    result = race(autoencoder, ["sgd"], trials=1, seeds=1)
    assert math.isnan(result.runs[0].accuracy)
    assert result.runs[0].loss < math.inf


@pytest.mark.parametrize("given", [model(), model, 3, None, [TRAIN, VALID]])
def test_what_is_no_problem_is_refused_with_the_way_to_make_one(given) -> None:
    with pytest.raises(BadType, match=r"thalweg.problems.define\(model=") as caught:
        race(given)
    assert "expected a name" in str(caught.value)


def test_a_file_that_fails_is_named_before_anything_is_trained(tmp_path) -> None:
    path = tmp_path / "failing_problem.py"
    path.write_text("import torch\n1 / 0\n")
    with pytest.raises(BadFile, match=r"failing_problem.py, line 2: ZeroDivisionError"):
        race(str(path))


# A problem of one's own.


def test_a_problem_is_defined_by_a_model_function_and_data_alone() -> None:
    problem = define(model, TRAIN, VALID)
    assert (problem.batch_size, problem.epochs, problem.name) == (32, 10, "problem")
    assert problem.loss is cross_entropy
    first, again = (problem.make_model(3).state_dict() for _ in "12")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert thalweg.problems.define is define


def test_the_program_of_the_page_on_problems_prints_a_verdict(capsys) -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(program, {})
    assert "validation loss" in capsys.readouterr().out


def test_loaders_may_be_given_directly() -> None:
    loaders = [
        DataLoader(TensorDataset(*part), 8, shuffle=k == 0)
        for k, part in enumerate((TRAIN, VALID, TEST))
    ]
    problem = define(model, *loaders, epochs=2)
    result = race(problem, ["sgd", "adam"], trials=2, seeds=2, reference=None)
    assert [len(row.test_losses) for row in result.board] == [2, 2]
    assert result.board[0].loss.value < math.log(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": nn.Linear(4, 3)}, BadType, "model should be a function"),
        ({"model": lambda: None}, BadType, r"model\(\) should return a module, got a NoneType"),
        ({"train": 3}, BadType, "train should be a pair"),
        ({"valid": blobs(2, 0)}, BadValue, "valid is empty"),
        ({"loss": 3}, BadType, "loss should be a function"),
        ({"epochs": 0}, BadValue, "epochs=0"),
        ({"batch": 100}, BadValue, "batch=100 is more than the 48"),
        ({"model": lambda: nn.Linear(5, 3)}, BadValue, "the model fails on the first examples"),
    ],
)
def test_a_problem_that_cannot_be_trained_is_not_defined(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        define(**{"model": model, "train": TRAIN, "valid": VALID, **arguments})


def test_a_problem_of_functions_of_a_module_can_be_pickled() -> None:
    problem = define(model, TRAIN, VALID, epochs=3, name="blobs")
    again: Any = pickle.loads(pickle.dumps(problem))
    original: Any = problem.make_model(1)
    assert (again.name, again.epochs, again.loss) == ("blobs", 3, cross_entropy)
    assert torch.equal(again.train.inputs, TRAIN.inputs)
    assert torch.equal(again.make_model(1)[0].weight, original[0].weight)


def test_a_problem_that_was_loaded_is_pickled_as_its_name() -> None:
    digits = problems.load("digits")
    assert len(pickle.dumps(digits)) < 200
    assert pickle.loads(pickle.dumps(digits)).name == "digits"
    changed = replace(digits, epochs=1)
    assert (digits.source, changed.source) == ("digits", "")
