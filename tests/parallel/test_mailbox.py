"""Large pushes go through memory that worker and shard share, and arrive as others do."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import cross_entropy, data, job
from torch import nn

from thalweg import parallel
from thalweg.parallel import Downpour, InProcess, Layout, Outcome, RayEngine
from thalweg.parallel.cluster import mailbox
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.cluster.mailbox import LARGE, Mailboxes
from thalweg.parallel.cluster.outbox import Outbox
from thalweg.parallel.cluster.questions import Servers
from thalweg.parallel.cluster.servers import Server
from thalweg.parallel.cluster.wire import packed, sealed, unpacked
from thalweg.parallel.cluster.workers import Worker
from thalweg.parallel.compression import BFloat16, TopK, Whole
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches
from thalweg.training.data.forms import Rows

pytest.importorskip("ray")

ALGORITHM = Downpour("sgd", lr=0.1)
WIDE = 60_000


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Two processors of this machine."""
    with connected(None, 2, 60.0) as ray:
        yield ray


def wide() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(5, WIDE)


def vector(seed: int = 0) -> torch.Tensor:
    return torch.randn(LARGE, generator=torch.Generator().manual_seed(seed))


def test_a_large_model_is_trained_as_in_process_bit_for_bit() -> None:
    ends = [
        vector_of(
            parallel.fit(
                wide(), cross_entropy, data(), algorithm=ALGORITHM, batch=8, epochs=1, engine=engine
            ).model
        )
        for engine in (InProcess(), RayEngine(timeout=600.0))
    ]
    assert torch.equal(*ends)


@pytest.mark.parametrize("compression", [Whole(), BFloat16()])
def test_a_shard_reads_what_was_put_there_last(compression: Any) -> None:
    outbox, shard = Outbox(compression.compressor()), Mailboxes()
    for seed in range(2):
        box = outbox.boxed(vector(seed))
        assert box.mailbox is not None
        assert not box.values.nbytes
        values = shard.look("worker", box.mailbox)
        assert values is not None
        sent = compression.compressor()(vector(seed)).values
        assert torch.equal(unpacked(values, sent.dtype), sent)


def test_small_pushes_and_some_elements_of_large_ones_travel_in_the_message() -> None:
    assert Outbox(Whole().compressor()).boxed(vector()[:1000]).mailbox is None
    assert Outbox(TopK(0.5).compressor()).boxed(vector()).mailbox is None


def test_a_mailbox_on_another_node_or_of_a_process_that_is_gone_is_out_of_reach() -> None:
    outbox, shard = Outbox(Whole().compressor()), Mailboxes()
    place = outbox.boxed(vector()).mailbox
    assert place is not None
    assert shard.look("worker", place._replace(node="another")) is None
    assert shard.look("worker", place._replace(process=2**22 + 1)) is None
    assert shard.look("worker", place) is not None


def test_nothing_of_a_mailbox_is_left_when_both_sides_let_it_go() -> None:
    def held() -> tuple[int, int]:
        mapped = Path("/proc/self/maps").read_text().count("/memfd:push")
        links = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
        return mapped, sum("memfd:push" in link for link in links)

    before = held()
    outbox, shard = Outbox(Whole().compressor()), Mailboxes()
    place = outbox.boxed(vector()).mailbox
    assert place is not None
    shard.look("worker", place)
    assert held()[0] == before[0] + 2
    assert held()[1] > before[1]
    shard.forget("worker")
    del outbox
    assert held() == before


def test_a_worker_pushes_again_by_value_what_a_shard_cannot_look_into(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is here, and says that it is on another node than the shard."""
    monkeypatch.setattr(mailbox, "_node", lambda: "another")
    made = job(wide(), cross_entropy, ALGORITHM, 4, Batches(Rows(*data()), 8, 0))
    layout, parts = Layout.of(made.replica.model), [range(len(made.start))]
    server = cluster.remote(Server).options(num_cpus=0)
    handle = server.remote(layout, parts[0], sealed(ALGORITHM.serving(1)), tmp_path, 100)
    cluster.get(handle.begin.remote(packed(made.start)))
    parcel = sealed(made.algorithm, made.replica, made.compression)
    worker = Worker("w", made.seat(0), parcel, Servers([handle], 60.0), parts, 0)
    worker.begin()
    reports = [*(worker.work(number) for number in range(4)), worker.end()]
    outcomes = [receipt.outcome for report in reports for receipt in report.receipts]
    assert outcomes == [Outcome.APPLIED] * 4
    assert not torch.equal(
        unpacked(cluster.get(handle.values.remote()).values, layout.dtype), made.start
    )
