"""Training on Ray is training: the same updates and models as anywhere else, or a clear refusal."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import (
    apart_by_rounding,
    cross_entropy,
    data,
    fitted,
    job,
    line,
    linear_data,
    logged,
    network,
    squares,
)
from torch import Tensor, nn

import thalweg
from thalweg import Optimizer, parallel, problems
from thalweg.errors import BadFile, BadValue, WorkerDied
from thalweg.parallel import (
    Algorithm,
    Downpour,
    Elastic,
    InProcess,
    LocalUpdates,
    Outcome,
    RayEngine,
    Synchronous,
    Tally,
)
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches
from thalweg.training import fit
from thalweg.training.data.forms import Rows

pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Two processors of this machine, for all trainings here."""
    with connected(None, 2, 60.0) as ray:
        yield ray


# The same updates.


def test_downpour_with_one_worker_is_fit_bit_for_bit() -> None:
    """With time enough that no message is sent again."""
    shards = 2
    found = fitted(Downpour("adam"), engine=RayEngine(timeout=600.0), shards=shards)
    model = network()
    optimizer = Optimizer(model.parameters(), "adam")
    fit(model, optimizer, cross_entropy, data(), batch=8, epochs=3, seed=5)
    assert torch.equal(vector_of(found.model), vector_of(model))
    assert found.tally == Tally(
        found.tally.receipts, found.tally.staleness, measured=Counter({0: 18})
    )
    assert found.tally.receipts == {Outcome.APPLIED: 18 * shards}


def test_synchronous_workers_are_one_with_a_large_batch() -> None:
    """The path of both stays within twice the roundings that each of them may commit."""
    x, y = linear_data(32, 6)
    path = [torch.zeros(6, dtype=torch.float64)]
    algorithm = Synchronous("sgd", lr=0.1)
    RayEngine().run(
        job(line(), squares, algorithm, 40, Batches(Rows(x, y), 4, 2), workers=2, every=2,
            watch=lambda progress: path.append(progress.values()))
    )  # fmt: skip
    batches = Batches(Rows(x, y), 8, 2)
    end, asked = logged(job(line(), squares, algorithm, 20, batches))
    other = torch.stack([at for _, at in asked] + [end])
    apart = apart_by_rounding(torch.stack(path), batches, 0.1, 2)
    assert ((torch.stack(path) - other).abs() <= apart).all()
    assert apart.max() < 1e-9


class Late(nn.Linear):
    """A line that one of two workers takes a while to look at, as a file in *folder* arranges."""

    def __init__(self, folder: Path) -> None:
        super().__init__(6, 1, bias=False, dtype=torch.float64)
        self.folder, self.seen = folder, False

    def named_parameters(self, *how: Any, **more: Any) -> Iterator[tuple[str, nn.Parameter]]:
        if self.folder.exists() and not self.seen:
            self.seen = True
            try:
                (self.folder / "first").touch(exist_ok=False)
            except FileExistsError:
                time.sleep(1)
        return super().named_parameters(*how, **more)


def test_nobody_begins_a_round_before_the_last_worker_takes_part(tmp_path: Path) -> None:
    model, updates = Late(tmp_path / "crew"), []
    made = job(
        model, squares, Synchronous("sgd", lr=0.1), 8, Batches(Rows(*linear_data(32, 6)), 4, 2),
        workers=2, watch=lambda progress: updates.append(progress.updates),
    )  # fmt: skip
    model.folder.mkdir()
    RayEngine().run(made)
    assert updates == [4]


@pytest.mark.long
@pytest.mark.parametrize(
    "algorithm",
    [Downpour("adagrad", lr=0.1), Elastic(lr=0.3, period=2), LocalUpdates(lr=0.3, period=4)],
    ids=lambda each: type(each).__name__,
)
def test_digits_are_learned_as_well_as_in_the_simulation(algorithm: Algorithm) -> None:
    digits = problems.load("digits")
    ends = [
        parallel.fit(
            digits.make_model(0), digits.loss, digits.train, digits.validation,
            algorithm=algorithm, workers=2, epochs=3, engine=engine,
        ).history[-1]
        for engine in (InProcess(), RayEngine())
    ]  # fmt: skip
    assert ends[0].examples == ends[1].examples == 3 * 1077
    assert ends[1].valid_accuracy == pytest.approx(ends[0].valid_accuracy, abs=0.03)


@pytest.mark.long
def test_the_statistics_of_batch_normalization_come_back() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    parallel.fit(
        model, cross_entropy, data(), algorithm=Downpour(), batch=8, engine=RayEngine()
    )  # fmt: skip
    assert model[1].num_batches_tracked == 6


@pytest.mark.long
def test_a_worker_may_fetch_while_it_computes() -> None:
    found = fitted(Downpour("adagrad", lr=0.1, overlap=True, n_push=2, n_fetch=3), 2,
                   engine=RayEngine())  # fmt: skip
    assert not found.diverged
    assert found.history[-1].gradients == 18


SGD = Downpour("sgd", lr=0.1)

# What cannot work.


class Elsewhere(nn.Module):
    """A model that has another shape where it is unpacked."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(5, width)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)

    def __reduce__(self) -> Any:
        return Elsewhere, (3,)


def sometimes_nan(output: Tensor, targets: Tensor) -> Tensor:
    """A loss that is not a number for batches with five examples of the second class."""
    found = cross_entropy(output, targets)
    return found * float("nan") if int(targets.sum()) == 5 else found


def broken(output: Tensor, targets: Tensor) -> Tensor:
    raise ArithmeticError("the loss of the user")


def test_a_worker_whose_model_differs_is_refused_before_the_first_gradient() -> None:
    with pytest.raises(BadValue, match="the model of worker 0 differs: its 'layer.weight'"):
        parallel.fit(Elsewhere(), cross_entropy, data(), algorithm=SGD, engine=RayEngine())


def test_a_process_with_another_version_is_refused_before_the_first_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = thalweg.__version__
    monkeypatch.setattr(thalweg, "__version__", "0.0.1")
    with pytest.raises(WorkerDied, match=f"has thalweg {here}, the one that .* has 0.0.1. Install"):
        fitted(SGD, engine=RayEngine())


@pytest.mark.long
def test_an_error_of_the_loss_is_raised_as_it_is() -> None:
    with pytest.raises(ArithmeticError, match="the loss of the user"):
        parallel.fit(network(), broken, data(), algorithm=SGD, engine=RayEngine())


@pytest.mark.long
def test_pushes_that_are_not_numbers_are_kept_from_the_server() -> None:
    model = network()
    found = parallel.fit(
        model, sometimes_nan, data(), algorithm=SGD, batch=8, epochs=2, engine=RayEngine(),
        workers=2,
    )  # fmt: skip
    assert found.tally.receipts[Outcome.NONFINITE] >= 1
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_training_does_not_write_over_the_snapshots_of_another(tmp_path: Path) -> None:
    inprocess = InProcess(snapshots=tmp_path)
    fitted(SGD, engine=inprocess)
    with pytest.raises(BadFile, match="holds snapshots"):
        fitted(SGD, engine=RayEngine(snapshots=tmp_path))
