"""AdaptiveRevision at a shard, against its equations; and what it is for: long delays."""

import numpy as np
import pytest
import torch
from small import cross_entropy
from torch import nn

from oracles import ORACLES
from thalweg import parallel, problems
from thalweg.parallel import Downpour, Layout, Outcome, Result, Serving, Shard
from thalweg.rules import find

LAYOUT = Layout(("weight", "bias"), ((2, 3), (2,)), torch.float64)


def shard(part: range = range(8)) -> Shard:
    serving = Serving(find("adaptive_revision"), {"lr": 0.5})
    made = Shard(LAYOUT, part, torch.linspace(-1, 1, 8, dtype=torch.float64), serving)
    for worker in "abc":
        made.join(worker, LAYOUT)
    return made


@pytest.mark.parametrize("part", [range(8), range(2, 7)])
def test_late_gradients_are_revised_as_the_equations_say(part: range) -> None:
    """Three workers read and push in random order; the oracle is told what each had read."""
    random = np.random.default_rng(0)
    ours = shard(part)
    oracle = ORACLES["adaptive_revision"](ours.values.numpy().copy(), lr=0.5)
    held = {worker: ours.pull(worker).versions[0] for worker in "abc"}  # type: ignore[union-attr]
    seen = dict.fromkeys("abc", oracle.total)  # type: ignore[attr-defined]
    late = 0
    for number in range(1, 60):
        worker = str(random.choice(list("abc")))
        g = random.standard_normal(len(part))
        late += ours.version.update - held[worker].update > 0
        oracle.seen = seen[worker]  # type: ignore[attr-defined]
        oracle.step(g)
        receipt = ours.push(torch.tensor(g), held[worker], worker, number)
        assert receipt.outcome is Outcome.APPLIED
        np.testing.assert_allclose(ours.values.numpy(), oracle.p, rtol=0, atol=1e-12)
        if random.random() < 0.7:
            held[worker] = ours.pull(worker).versions[0]  # type: ignore[union-attr]
            seen[worker] = oracle.total  # type: ignore[attr-defined]
    assert late > 20


def test_a_shard_keeps_no_more_of_the_past_than_workers_hold() -> None:
    ours = shard()
    for number in range(1, 30):
        for worker in "ab":
            reading = ours.pull(worker)
            assert reading is not None
            ours.push(torch.ones(8, dtype=torch.float64), reading.versions[0], worker, number)
    assert len(ours._readings) <= 2
    ours.leave("a")
    ours.leave("b")
    assert len(ours._readings) == 0


def test_a_version_that_the_worker_never_read_is_refused() -> None:
    ours = shard()
    first = ours.pull("a")
    assert first is not None
    ours.push(torch.ones(8, dtype=torch.float64), first.versions[0], "a", 1)
    before = ours.values.clone()
    receipt = ours.push(torch.ones(8, dtype=torch.float64), first.versions[0], "b", 1)
    assert receipt.outcome is Outcome.UNKNOWN
    assert torch.equal(ours.values, before)


def trained(rule: str, lr: float, workers: int, epochs: int) -> Result:
    digits = problems.load("digits")
    torch.manual_seed(0)
    algorithm = Downpour(rule, lr=lr, divide=False, warm_start=0)
    return parallel.fit(nn.Linear(64, 10), cross_entropy, digits.train, digits.validation,
                        algorithm=algorithm, workers=workers, batch=8, epochs=epochs)  # fmt: skip


def test_a_rate_that_was_tuned_without_delay_bears_a_delay_of_a_thousand() -> None:
    """A worker more than a thousand takes turns, so that every gradient is a thousand updates late.

    The rates are the best of a coarse grid without delay, found anew here, for each rule its own.
    """
    losses, epochs = {}, 16
    for rule in ("adagrad", "adaptive_revision"):
        tuned = {lr: trained(rule, lr, 1, 2).history[-1].judged for lr in (0.03, 0.1, 0.3)}
        best = min(tuned, key=tuned.__getitem__)
        result = trained(rule, best, 1001, epochs)
        assert max(result.tally.staleness) == 1000
        assert result.tally.staleness[1000] > 1000
        losses[rule] = result.history[-1].judged
    assert losses["adaptive_revision"] <= 0.5 * losses["adagrad"]
