"""What processes that move in step cannot do is refused in words, before any of them waits."""

import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
from small import cross_entropy, data, free_ports, network
from torch import nn

from thalweg import parallel
from thalweg.errors import BadType, BadValue, ThalwegError
from thalweg.parallel import (
    BFloat16,
    Downpour,
    Elastic,
    LocalUpdates,
    Pipeline,
    Synchronous,
    TorchEngine,
)
from thalweg.parallel.group.pipeline import cut_into_stages
from thalweg.rules import chain, clip_by_global_norm, find


def refused(engine: Any = None, model: nn.Module | None = None, **how: Any) -> str:
    """What is said about a training that torchrun would have started two processes for."""
    how = {"algorithm": Synchronous(), "workers": 2, **how}
    with pytest.raises(ThalwegError) as found:
        parallel.fit(
            model or network(), cross_entropy, data(), engine=engine or TorchEngine(), **how
        )
    return str(found.value)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let this process be the first of two; return the port where the second is to come."""
    (port,) = free_ports(1)
    given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return port


CLIPPED = chain(clip_by_global_norm, find("sgd"), defaults={"max_norm": 0.1})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"algorithm": Downpour()}, "the workers of Downpour do not move in step"),
        ({"algorithm": Elastic()}, "Elastic(synchronous=True)"),
        ({"workers": 3}, "workers=3, but there are 2 processes"),
        ({"shards": 2}, "shards=2"),
        ({"compress": BFloat16()}, "compress=BFloat16()"),
        ({"engine": TorchEngine("ddp"), "algorithm": LocalUpdates()}, "a form of Synchronous"),
        ({"engine": TorchEngine(Pipeline(2))}, "are one worker together"),
        ({"engine": TorchEngine(Pipeline(3)), "workers": 1}, "children of the Sequential have"),
        (
            {"engine": TorchEngine(Pipeline(2)), "workers": 1, "model": nn.Linear(5, 2)},
            "expected an nn.Sequential",
        ),
        ({"engine": TorchEngine(Pipeline(2)), "workers": 1, "batch": 6}, "4 equal microbatches"),
        (
            {
                "engine": TorchEngine(Pipeline(2)),
                "workers": 1,
                "algorithm": Synchronous(CLIPPED),
            },
            "looks at all parameters at once",
        ),
    ],
)
@pytest.mark.usefixtures("two_processes")
def test_it_is_refused_before_processes_meet(how: dict[str, Any], words: str) -> None:
    assert words in refused(**how)


@pytest.mark.usefixtures("two_processes")
def test_fewer_processes_than_stages_are_refused() -> None:
    model = nn.Sequential(*(nn.Linear(5, 5) for _ in range(3)))
    words = refused(TorchEngine(Pipeline(3)), model, workers=1)
    assert "3 stages, but there are 2 processes" in words
    assert "torchrun --nproc-per-node 3" in words


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: TorchEngine(cast(Any, "dp")),
            BadValue,
            "expected 'ddp', 'fsdp2', a Pipeline, or None",
        ),
        (lambda: TorchEngine(timeout=0.0), BadValue, "timeout=0.0"),
        (lambda: Pipeline(1), BadValue, "stages=1"),
        (lambda: Pipeline(cast(Any, 2.0)), BadType, "stages=2.0"),
        (lambda: Pipeline(4, microbatches=2), BadValue, "2 microbatches for 4 stages"),
        (lambda: Pipeline(2, schedule=cast(Any, "fbfb")), BadValue, "expected gpipe or 1f1b"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    make: Callable[[], Any], error: type[ThalwegError], words: str
) -> None:
    with pytest.raises(error) as found:
        make()
    assert words in str(found.value)


def test_a_process_that_torchrun_did_not_start_says_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert "Run: torchrun --nproc-per-node 2 " in refused()


def test_a_port_that_is_taken_is_named(two_processes: int) -> None:
    with socket.create_server(("127.0.0.1", two_processes)):
        assert f"127.0.0.1:{two_processes}, which cannot be listened on" in refused()


def test_stages_have_about_as_many_parameters_each() -> None:
    widths = [(100, 2), (2, 100), (100, 10), (10, 10), (10, 10)]
    model = nn.Sequential(*(part for w in widths for part in (nn.Linear(*w), nn.Tanh())))
    parts = cut_into_stages(model, 3)
    assert [len(part) for part in parts] == [4, 2, 4]
    assert [p for part in parts for p in part.parameters()] == list(model.parameters())
