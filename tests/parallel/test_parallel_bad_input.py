"""What cannot work is refused in words, before the first gradient is measured."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch
from small import cross_entropy, data, fitted, network
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg import parallel
from thalweg.errors import BadFile, BadType, BadValue, ThalwegError, UnknownName
from thalweg.parallel import (
    Algorithm,
    Downpour,
    Elastic,
    Fault,
    InProcess,
    Layout,
    LocalUpdates,
    Network,
    Outcome,
    Synchronous,
    TopK,
    constant,
    diloco,
    exponential,
    failures,
    lognormal,
    simulate,
    uniform,
)


def fit(model: Any = None, train: Any = None, **how: Any) -> Any:
    how = {"algorithm": Synchronous(), **how}
    model = network() if model is None else model
    return parallel.fit(model, cross_entropy, data() if train is None else train, **how)


def mixed() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2).double())


def frozen() -> nn.Module:
    return network().requires_grad_(False)


REFUSED: list[tuple[Callable[[], Any], type[ThalwegError], str]] = [
    (lambda: fit(algorithm="downpour"), BadType, "algorithm='downpour'; expected one such as"),
    (lambda: fit(model=3), BadType, "model is 3; expected a module"),
    (lambda: fit(algorithm=Downpour(hyper="eps")), BadType, "hyper='eps'; expected names"),  # type: ignore[arg-type]
    (lambda: fit(algorithm=Elastic(), compress=TopK()), BadValue, "has to arrive whole"),
    (lambda: fit(engine="ray"), BadType, "engine='ray'; expected one such as InProcess"),
    (lambda: fit(workers=0), BadValue, "workers=0"),
    (lambda: fit(shards=10**6), BadValue, "shards=1000000"),
    (lambda: fit(batch=49), BadValue, "49"),
    (lambda: fit(epochs=1.5), BadType, "epochs=1.5"),
    (lambda: fit(train=DataLoader(TensorDataset(*data()))), BadType, "Pass its data set"),
    (lambda: fit(frozen()), BadValue, "no parameter of the model requires one"),
    (
        lambda: Layout.of(mixed()),
        BadType,
        "torch.float32 on cpu, torch.float64 on cpu; expected one",
    ),
    (lambda: fit(algorithm=Downpour("adagard")), UnknownName, "Did you mean 'adagrad'"),
    (lambda: fit(algorithm=Downpour(3)), BadType, "rule=3"),  # type: ignore[arg-type]
    (lambda: fit(algorithm=Downpour(lr=-1.0)), BadValue, "lr=-1.0 is outside"),
    (lambda: fit(algorithm=Downpour(hyper={"beta1": 0.5})), UnknownName, "beta1"),
    (lambda: fit(algorithm=LocalUpdates("sdg")), UnknownName, "Did you mean 'sgd'"),
    (lambda: fit(algorithm=LocalUpdates(outer="sdg")), UnknownName, "Did you mean 'sgd'"),
    (lambda: Downpour(n_push=0), BadValue, "n_push=0"),
    (lambda: Downpour(n_fetch=1.0), BadType, "n_fetch=1.0"),  # type: ignore[arg-type]
    (lambda: Downpour(staleness=-1), BadValue, "staleness=-1"),
    (lambda: Downpour(warm_start=-1), BadValue, "warm_start=-1"),
    (lambda: Elastic(alpha=-0.1), BadValue, "alpha=-0.1"),
    (lambda: Elastic(momentum=1.0), BadValue, "momentum=1.0"),
    (lambda: Elastic(lr=float("nan")), BadValue, "lr=nan"),
    (lambda: Elastic(period=0), BadValue, "period=0"),
    (lambda: LocalUpdates(period=0), BadValue, "period=0"),
    (lambda: InProcess(network=3), BadType, "network=3; expected a Network"),  # type: ignore[arg-type]
    (lambda: InProcess(faults=["kill"]), BadType, "expected a list of Fault"),  # type: ignore[list-item]
    (lambda: fit(engine=InProcess(snapshots=3)), BadType, "snapshots=3; expected the path"),  # type: ignore[arg-type]
    (lambda: InProcess(compute=0.0), BadValue, "compute=0; expected a positive number"),
    (lambda: InProcess(compute=-1.0), BadValue, "-1.0"),
    (lambda: InProcess(detection=-1.0), BadValue, "detection=-1.0"),
    (lambda: InProcess(snapshot_every=0), BadValue, "snapshot_every=0"),
    (lambda: Network(latency=-1.0), BadValue, "-1.0"),
    (lambda: Network(bandwidth=0.0), BadValue, "bandwidth"),
    (lambda: Network(loss=1.0), BadValue, "loss=1.0"),
    (lambda: Network(timeout=0.0), BadValue, "timeout=0"),
    (lambda: Network(retries=-1), BadValue, "retries=-1"),
    (lambda: Fault(1.0, "kill"), BadValue, "kind='kill'; expected one of kill worker"),  # type: ignore[arg-type]
    (lambda: Fault(-1.0, "kill worker"), BadValue, "at=-1.0"),
    (lambda: Fault(1.0, "kill worker", -1), BadValue, "target=-1"),
    (lambda: Fault(1.0, "pause worker", 0, float("nan")), BadValue, "lasts=nan"),
    (lambda: Fault(1.0, "kill worker", 0, "long"), BadType, "lasts='long'"),  # type: ignore[arg-type]
    (lambda: fit(engine=InProcess(faults=[Fault(1.0, "kill worker", 1)])), BadValue, "0 to 0"),
    (lambda: fit(engine=InProcess(faults=[Fault(1.0, "kill shard", 1)])), BadValue, "0 to 0"),
    (lambda: failures("kill shard", 1, constant(0.0), constant(1.0), 9.0, 0), BadValue, "between"),
    (lambda: exponential(-1.0), BadValue, "mean=-1.0"),
    (lambda: uniform(2.0, 1.0), BadValue, "high=1.0"),
    (lambda: lognormal(0.0, 1.0), BadValue, "median=0"),
    (lambda: parallel.find("downpuor"), UnknownName, "Did you mean 'downpour'"),
    (lambda: simulate("ravine", {"a": Downpour}), BadType, "'a' is"),  # type: ignore[dict-item]
    (lambda: simulate("ravine", {}, workers=(1001,)), BadValue, "from 1 to 1,000"),
    (lambda: simulate("ravine", {}, delays=(-1.0,)), BadValue, "delay=-1.0"),
    (lambda: simulate("ravine", {}, seeds=0), BadValue, "seeds=0"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_it_is_refused(act: Callable[[], Any], error: type[ThalwegError], words: str) -> None:
    with pytest.raises(error) as found:
        act()
    assert words in str(found.value)


def test_a_refused_training_leaves_the_model_as_it_was() -> None:
    model, before = network(), network()
    with pytest.raises(BadValue, match="lr"):
        fit(model, algorithm=Downpour(lr=-1.0))
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


def test_a_training_does_not_write_over_the_snapshots_of_another(tmp_path: Any) -> None:
    engine = InProcess(snapshots=tmp_path)
    fitted(Downpour("adam"), engine=engine, shards=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard-0", "shard-1"]
    with pytest.raises(BadFile, match="holds snapshots"):
        fitted(Downpour("adam"), engine=engine, shards=2)


def test_a_file_is_no_folder_for_snapshots(tmp_path: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match="shard-0 cannot hold snapshots: Not a directory"):
        fitted(Downpour("adam"), engine=InProcess(snapshots=tmp_path / "file"))


def test_data_that_are_not_numbers_are_refused() -> None:
    inputs, targets = data()
    inputs[3, 2] = float("nan")
    with pytest.raises(BadValue, match="inputs of train hold NaN or infinity, first in row 3"):
        fit(train=(inputs, targets))


@pytest.mark.parametrize("algorithm", [Downpour("adam", lr=0.1), Synchronous("adam", lr=0.1)])
def test_gradients_that_are_not_finite_are_kept_from_the_server(algorithm: Algorithm) -> None:
    """One batch of six has one; the others train on."""
    calls = count(1)

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        found = cross_entropy(output, targets)
        return found * float("nan") if output.requires_grad and next(calls) == 3 else found

    model = network()
    result = parallel.fit(model, loss, data(), algorithm=algorithm, workers=2, batch=8)
    assert result.tally.receipts[Outcome.NONFINITE] == 1
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "algorithm",
    [Elastic(lr=0.1), Elastic(lr=0.1, momentum=0.5), LocalUpdates(lr=0.1), diloco(0.1, period=2)],
)
def test_a_worker_that_walks_alone_goes_on_after_a_gradient_that_is_not_finite(
    algorithm: Algorithm,
) -> None:
    calls = count(1)

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        found = cross_entropy(output, targets)
        return found * float("nan") if output.requires_grad and next(calls) == 3 else found

    result = parallel.fit(
        network(), loss, data(), algorithm=algorithm, workers=2, batch=4, epochs=3
    )
    assert next(calls) > 36
    assert result.tally.applied
    assert result.tally.refused == 0


@pytest.mark.parametrize("name", parallel.catalogue)
def test_every_algorithm_of_the_catalogue_trains(name: str) -> None:
    result = fitted(parallel.find(name), 3, valid=data(20, 2))
    assert not result.diverged
    assert result.tally.undealt == 0
