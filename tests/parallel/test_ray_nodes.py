"""A node that dies takes its workers and shards with it; the training goes on elsewhere."""

from pathlib import Path

import pytest
from counting import COUNT, PLAIN, check_ledger, counting, slowly

from clusters import cluster
from thalweg.errors import BadValue
from thalweg.parallel import Outcome, Progress, RayEngine
from thalweg.parallel.cluster import supervisor

pytest.importorskip("ray")

EVERY = 8


@pytest.mark.long
def test_a_training_survives_a_node_and_goes_on_at_another(tmp_path: Path) -> None:
    """Each node has room for one worker; shards are where Ray puts them."""
    updates: list[int] = []
    with cluster() as nodes:
        left = [nodes.add_node(num_cpus=1)]
        nodes.wait_for_nodes()

        def cut(progress: Progress) -> None:
            updates.append(progress.updates)
            if left:
                nodes.remove_node(left.pop(), allow_graceful=False)
                nodes.add_node(num_cpus=1)

        engine = RayEngine(nodes.address, snapshots=tmp_path, snapshot_every=EVERY)
        job = counting(PLAIN, slowly, workers=2, every=20, watch=cut)
        values, tally = engine.run(job)
    applied = values.numpy()
    assert not left
    check_ledger(applied, tally)
    assert applied.sum() == updates[-1]
    assert (tally.restarts, tally.lost_gradients, tally.undealt) == (1, 1, 0)
    assert tally.restored <= 1
    assert tally.lost_updates < EVERY
    assert tally.lost_pushes + tally.receipts[Outcome.UNKNOWN] <= 2
    assert tally.receipts.total() >= COUNT - 1 - tally.lost_pushes


@pytest.mark.long
def test_more_workers_than_a_cluster_has_room_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are waited for no longer than processes may take to begin."""
    monkeypatch.setattr(supervisor, "START", 5.0)
    with cluster() as nodes:
        engine = RayEngine(nodes.address, snapshots=tmp_path, timeout=20.0)
        with pytest.raises(BadValue, match="2 workers have not begun in 20 seconds; .* needs 1"):
            engine.run(counting(PLAIN, slowly, workers=2))
