"""What is wrong with data is said before training, with the row and the number."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from thalweg.errors import BadType, BadValue
from thalweg.problems import Split, check_apart, check_data, check_model, define
from thalweg.problems.checks import check_batch_size
from thalweg.problems.examples import count, first_batch


class Rows(Dataset):
    """Examples that are made when they are asked for."""

    def __init__(self, size, value=1.0, target=0):
        self.size, self.value, self.target = size, value, target

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return torch.full((3,), self.value * (index + 1)), self.target


class Stream(IterableDataset):
    """Examples one after another, nobody knows how many."""

    def __iter__(self):
        return iter([(torch.ones(3), 0), (torch.zeros(3), 1)])


def _split(rows=6, classes=3):
    inputs = torch.arange(rows * 3.0).reshape(rows, 3)
    return Split(inputs, torch.arange(rows) % classes)


def _with(value, row=4):
    inputs = _split().inputs.clone()
    inputs[row, 1] = value
    return Split(inputs, _split().targets)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Split(torch.zeros(0, 3), torch.zeros(0)), "train is empty"),
        (Rows(0), "train is empty"),
        (DataLoader(Rows(3), batch_size=4, drop_last=True), "the loader of train yields no batch"),
        (Split(torch.zeros(4, 3), torch.zeros(5)), "4 inputs and 5 targets"),
        (_with(float("nan")), "the inputs of train hold NaN or infinity, first in row 4"),
        (_with(float("-inf"), 2), "first in row 2"),
        (Split(np.array([[1.0, np.nan]]), np.zeros(1)), "first in row 0"),
        (Split(torch.zeros(2, 1), torch.tensor([0.0, torch.inf])), "the targets of train hold"),
        (TensorDataset(*_with(float("nan"))), "the inputs of train hold NaN"),
        (DataLoader(TensorDataset(*_with(float("nan")))), "the inputs of train hold NaN"),
        (Rows(5, float("inf")), "the first example of train holds NaN or infinity"),
    ],
)
def test_empty_unequal_or_non_finite_data_are_refused(data, message):
    with pytest.raises(BadValue, match=message):
        check_data(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "train should be a pair .* got a int"),
        (
            Split([[1.0]], [0]),
            "the inputs of train should be a tensor or .* got a list",
        ),
        (Split(np.array([["a"]]), np.zeros(1)), "should be numbers with one row per example"),
        (Split(torch.tensor(1.0), torch.zeros(1)), "should be numbers with one row per example"),
        (TensorDataset(torch.zeros(4, 3)), "expected a pair"),
    ],
)
def test_data_of_another_kind_are_refused(data, message):
    with pytest.raises(BadType, match=message):
        check_data(data)


def test_a_nan_is_found_in_any_chunk_of_a_memory_map(tmp_path):
    rows = np.memmap(tmp_path / "rows", dtype="float32", mode="w+", shape=(3000, 1000))
    rows[2500, 3] = np.nan
    with pytest.raises(BadValue, match="first in row 2,500"):
        check_data(Split(rows, np.zeros(3000)))


def test_a_read_only_memory_map_is_checked_in_silence(tmp_path):
    np.save(tmp_path / "rows.npy", _split().inputs.numpy())
    inputs = np.load(tmp_path / "rows.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_data((inputs, _split().targets))
        check_model(nn.Linear(3, 3), cross_entropy, (inputs, _split().targets))


def test_sound_data_of_every_form_pass():
    whole = _split()
    arrays = Split(*map(np.asarray, whole))
    forms: list[Any] = [whole, tuple(whole), arrays, TensorDataset(*whole), Rows(4), Stream()]
    for data in forms:
        check_data(data)
        check_data(DataLoader(data) if isinstance(data, Dataset) else data)


def test_the_name_of_the_part_stands_in_the_message():
    with pytest.raises(BadValue, match="validation is empty"):
        check_data(Rows(0), "validation")


def test_a_validation_set_inside_the_training_set_is_refused_with_the_number_shared():
    whole = _split(40)
    part = Split(*(rows[30:36] for rows in whole))
    with pytest.raises(BadValue, match="6 of 6 examples of validation are also in train"):
        check_apart(whole, part)
    with pytest.raises(BadValue, match="6 of 6"):
        check_apart(TensorDataset(*whole), DataLoader(TensorDataset(*part)))
    with pytest.raises(BadValue, match="6 of 6"):
        check_apart(whole, Split(part.inputs.double().numpy(), part.targets))


@pytest.mark.parametrize("data", [_split(), Rows(4), DataLoader(Rows(4))])
def test_the_training_set_is_no_validation_set(data):
    with pytest.raises(BadValue, match="validation is the training set itself"):
        check_apart(data, data)


def test_subsets_are_compared_by_their_indices():
    whole = Rows(10)
    with pytest.raises(BadValue, match="2 of 4 examples"):
        check_apart(Subset(whole, range(6)), Subset(whole, range(4, 8)))
    with pytest.raises(BadValue, match="3 of 3 examples"):
        check_apart(DataLoader(whole), Subset(whole, range(3)))
    check_apart(Subset(whole, range(6)), Subset(whole, range(6, 10)))
    check_apart(Subset(whole, range(6)), Subset(Rows(10), range(4, 8)))


def test_a_single_coincidence_only_warns():
    train = _split(40)
    others = torch.cat([train.inputs[:1], -1 - train.inputs[:29]])
    with pytest.warns(UserWarning, match="1 of 30 examples of validation"):
        check_apart(train, Split(others, torch.zeros(30)))


def test_data_that_repeat_themselves_may_repeat_in_validation():
    truth_table = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    repeated = Split(truth_table.repeat(8, 1), torch.zeros(32))
    with pytest.warns(UserWarning, match="4 of 4 examples"):
        check_apart(repeated, Split(truth_table, torch.zeros(4)))


def test_sets_that_share_nothing_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_apart(_split(40), Split(-1 - _split(9).inputs, torch.zeros(9)))
        check_apart(_split(40), Split(torch.zeros(9, 2), torch.zeros(9)))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (3, "row 5 of train is labelled 3, but the model has 3 outputs, for the labels 0 to 2"),
        (-1, "row 5 of train is labelled -1"),
    ],
)
def test_a_label_the_model_has_no_output_for_is_refused_wherever_it_stands(label, message):
    split = _split(50)
    split.targets[5] = label
    with pytest.raises(BadValue, match=message):
        check_model(nn.Linear(3, 3), cross_entropy, split)
    late = _split(50)
    late.targets[49] = label
    with pytest.raises(BadValue, match="row 49 of train"):
        check_model(nn.Linear(3, 3), cross_entropy, late)


def test_labels_that_cross_entropy_ignores_pass():
    split = _split()
    split.targets[1] = -100
    check_model(nn.Linear(3, 3), cross_entropy, split)


def test_a_label_of_a_dataset_is_compared_in_the_first_batch():
    with pytest.raises(BadValue, match="row 0 of train is labelled 9"):
        check_model(nn.Linear(3, 3), cross_entropy, Rows(4, target=9))


@pytest.mark.parametrize(
    ("model", "loss", "split", "message"),
    [
        (nn.Linear(4, 3), cross_entropy, _split(), r"the model fails on .* \(6, 3\) float32"),
        (nn.Linear(3, 3), cross_entropy, Split(_split().inputs.double(), _split().targets),
         r"the model fails on .* \(6, 3\) float64"),
        (nn.Linear(3, 3), mse_loss, _split(), "the loss fails on"),
        (nn.Linear(3, 1), mse_loss, Split(_split().inputs, torch.zeros(6)),
         r"output has shape \(6, 1\) and the targets \(6,\)"),
        (nn.Linear(3, 1), lambda output, targets: output - 1, _split(1, 1), "one number"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_model_or_loss_that_does_not_fit_the_data_is_refused(model, loss, split, message):
    with pytest.raises(BadValue, match=message):
        check_model(model, loss, split)


def test_checking_a_model_leaves_it_and_torchs_random_state_as_they_were():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    check_model(model, cross_entropy, DataLoader(TensorDataset(*_split()), shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False]


@pytest.mark.parametrize(
    ("size", "error"), [(0, BadValue), (7, BadValue), (True, BadType), (2.0, BadType)]
)
def test_a_batch_size_that_the_data_cannot_fill_is_refused(size, error):
    with pytest.raises(error, match="batch="):
        check_batch_size(size, _split(6))


@pytest.mark.parametrize("size", [1, 6, "all"])
def test_a_batch_size_that_the_data_can_fill_passes(size):
    check_batch_size(size, _split(6))


def test_a_first_batch_comes_from_every_form_of_data():
    forms = (_split(), TensorDataset(*_split()), Rows(6), DataLoader(Rows(6), batch_size=2))
    shapes = [tuple(first_batch(data, 4)[0].shape) for data in forms]
    assert shapes == [(4, 3), (4, 3), (4, 3), (2, 3)]
    assert first_batch(Stream())[1].tolist() == [0, 1]
    assert [count(data) for data in forms] == [6, 6, 6, 6]
    assert count(Stream()) is None


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loss_that_is_the_sum_over_the_examples_is_refused(reduction):
    loss = nn.CrossEntropyLoss(reduction=reduction)
    split = Split(torch.randn(12, 4), torch.arange(12) % 2)
    if reduction == "mean":
        check_model(nn.Linear(4, 2), loss, split)
        return
    with pytest.raises(BadValue, match="grows with the number of examples"):
        check_model(nn.Linear(4, 2), loss, split)


def _defined(model, **parts):
    train, valid = _split(), Split(_split().inputs + 0.5, _split().targets)
    return define(model, parts.pop("train", train), parts.pop("valid", valid), **parts)


def test_a_model_function_that_returns_the_same_module_twice_is_refused():
    one = nn.Linear(3, 3)
    with pytest.raises(BadValue, match="the same module.*Build a new module inside"):
        _defined(lambda: one)
    with pytest.raises(BadValue, match="the same parameters"):
        _defined(lambda: nn.Sequential(one, nn.ReLU()))


def test_a_model_function_that_draws_its_own_numbers_is_refused():
    def model():
        made, own = nn.Linear(3, 3), torch.Generator()
        own.seed()
        with torch.no_grad():
            made.weight.normal_(generator=own)
        return made

    with pytest.raises(BadValue, match="other weights each time it is called with the same seed"):
        _defined(model)


def test_a_model_whose_shapes_are_not_known_yet_is_no_other_each_time():
    assert _defined(lambda: nn.LazyLinear(3)).make_model(0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"train": Split(np.random.randn(6, 3), np.arange(6) % 3)},
            r'inputs \(6, 3\) float64.*computes in float32.*\.astype\("float32"\)',
        ),
        (
            {"train": Split(_split().inputs, _split().targets.to(torch.int32))},
            r'Targets are expected as int64 here: \.astype\("int64"\)',
        ),
    ],
)
def test_numbers_of_the_wrong_type_are_refused_with_how_to_convert_them(parts, message):
    with pytest.raises(BadValue, match=message):
        _defined(lambda: nn.Linear(3, 3), **parts)


def test_a_loss_that_is_a_class_is_refused_with_its_call():
    with pytest.raises(BadType, match=r"the class CrossEntropyLoss.*CrossEntropyLoss\(\)"):
        _defined(lambda: nn.Linear(3, 3), loss=nn.CrossEntropyLoss)


def test_that_parameters_of_a_loss_are_not_trained_is_said():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, output, targets):
            return self.weight * cross_entropy(output, targets)

    with pytest.warns(UserWarning, match="only those of the model are trained"):
        check_model(nn.Linear(3, 3), Weighted(), _split())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_model(nn.Linear(3, 3), Weighted().requires_grad_(False), _split())


def test_of_outputs_and_targets_of_other_shapes_only_the_refusal_speaks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadValue, match="would pair them wrongly"):
            check_model(nn.Linear(3, 1), mse_loss, Split(_split().inputs, torch.zeros(6)))
