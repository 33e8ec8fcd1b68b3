"""Watching goes along with mixed precision, accumulation, compiled models, closures and pairs."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing, nn
from torch.nn import functional as F

from thalweg.doctor import Evidence, Watch, watch
from thalweg.errors import BadValue
from thalweg.training import fit
from watched import net, points, sgd

INPUTS, LABELS = points()


def losses(evidence: Evidence) -> list[float | None]:
    return [each.loss for each in evidence.steps]


class Exploding(nn.Module):
    """A loss module that returns an infinite loss when it is told to."""

    explode = False

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(scores, labels)
        return loss * math.inf if self.explode else loss


def test_a_scaled_loss_is_seen_unscaled_and_a_skipped_update_as_skipped() -> None:
    model, loss_fn = net(), Exploding()
    optimizer = sgd(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    seen = []
    with watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watching:
        for step in range(4):
            loss_fn.explode = step == 2
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_fn(model(INPUTS[:32]), LABELS[:32])
            seen.append(loss.item())
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    evidence = watching.evidence
    assert losses(evidence) == seen
    assert [each.skipped for each in evidence.steps] == [False, False, True, False]
    assert evidence.updates == 3
    first = evidence.probes[0].layers["2"].gradient
    scores = net()(INPUTS[:32]).requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(scores, LABELS[:32]), scores)
    assert first == pytest.approx(float(expected.norm()), rel=0.02)
    assert not evidence.failed


@pytest.mark.parametrize("module", [True, False])
def test_accumulated_gradients_make_one_update(module: bool) -> None:
    model = net()
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.0), nn.CrossEntropyLoss()
    with watch(model, optimizer, loss_fn if module else None, at_exit=0) as watching:
        for _ in range(2):
            optimizer.zero_grad()
            for begin in range(0, 96, 32):
                rows = slice(begin, begin + 32)
                (loss_fn(model(INPUTS[rows]), LABELS[rows]) / 3).backward()
            optimizer.step()
    whole = loss_fn(net()(INPUTS[:96]), LABELS[:96]).item()
    steps = watching.evidence.steps
    assert [(each.backwards, each.examples) for each in steps] == [(3, 96)] * 2
    assert [each.loss for each in steps] == pytest.approx([whole] * 2, rel=1e-5)


def compiled(whole: bool) -> tuple[Any, nn.Module]:
    inner = net()
    outer: Any = torch.compile(inner, backend="eager")
    return (outer if whole else nn.Sequential(outer, nn.Identity())), inner


@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_model_trains_as_ever_and_is_watched_from_outside(whole: bool) -> None:
    results = []
    for watched in (False, True):
        torch._dynamo.reset()
        model, inner = compiled(whole)
        optimizer, loss_fn = sgd(inner.parameters()), nn.CrossEntropyLoss()
        watching = watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0) if watched else None
        for _ in range(3):
            optimizer.zero_grad()
            loss_fn(model(INPUTS[:32]), LABELS[:32]).backward()
            optimizer.step()
        results.append([p.detach().clone() for p in inner.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert torch._dynamo.utils.counters["graph_break"] == {}
    assert watching is not None
    evidence = watching.evidence
    watching.close()
    assert not evidence.failed
    assert len(evidence.probes) >= 3
    assert evidence.curvature is not None
    assert evidence.model.host == ("compiled" if whole else "")
    assert bool(evidence.probes[0].layers) != whole
    assert evidence.probes[-1].layers


class Whole(nn.Module):
    """A network that torch can compile in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.inner(inputs))


def test_a_model_compiled_in_place_is_not_looked_into() -> None:
    torch._dynamo.reset()
    model = Whole()
    model.compile(backend="eager", fullgraph=True)
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, nn.CrossEntropyLoss(), overhead=1e9, at_exit=0) as watching:
        for _ in range(2):
            F.cross_entropy(model(INPUTS[:32]), LABELS[:32]).backward()
            optimizer.step()
    assert len(watching.evidence.steps) == 2
    assert "compiled" in (watching.evidence.lacks("activations") or "")
    assert watching.evidence.probes[0].parameters["inner.weight"].gradient
    assert not watching.evidence.failed


def test_of_a_closure_that_is_called_many_times_the_first_loss_counts() -> None:
    model = net()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)
    loss_fn = nn.CrossEntropyLoss()
    seen: list[list[float]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(INPUTS), LABELS)
        seen[-1].append(float(loss))
        loss.backward()
        return loss

    with watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watching:
        for _ in range(3):
            seen.append([])
            optimizer.step(closure)
    evidence = watching.evidence
    assert all(len(each) > 1 for each in seen)
    assert losses(evidence) == [each[0] for each in seen]
    assert [each.backwards for each in evidence.steps] == [1, 1, 1]
    probe = evidence.probes[0].parameters["0.weight"]
    assert probe.gradient
    assert probe.update
    assert not evidence.failed


def test_two_watches_see_each_its_own_losses() -> None:
    models = [net(), nn.Sequential(nn.Linear(4, 2))]
    optimizers = [sgd(each.parameters()) for each in models]
    loss_fn = nn.CrossEntropyLoss()
    watches = [
        watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0)
        for model, optimizer in zip(models, optimizers, strict=True)
    ]
    seen: list[list[float]] = [[], []]
    for step in range(6):
        order = (0, 1) if step % 2 else (1, 0)
        for k in order:
            optimizers[k].zero_grad()
            loss = loss_fn(models[k](INPUTS[: 32 + k]), LABELS[: 32 + k])
            seen[k].append(float(loss))
            loss.backward()
        for k in (0, 1):
            optimizers[k].step()
    for k, each in enumerate(watches):
        each.close()
        assert losses(each.evidence) == seen[k]
        assert [step.examples for step in each.evidence.steps] == [32 + k] * 6
        assert {probe.leftover for probe in each.evidence.probes} == {0.0}


def test_a_watch_that_is_forgotten_goes_away() -> None:
    before = torch.autograd.backward
    model = net()
    watching = watch(model, sgd(model.parameters()), nn.CrossEntropyLoss())
    assert torch.autograd.backward is not before
    del watching
    assert torch.autograd.backward is before
    assert not any(module._forward_hooks for module in list(model.modules())[1:])


def in_process(rank: int, processes: int, place: str) -> None:
    """Train a part of the data as one of several processes, and write down what is reported."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=processes
    )
    model = nn.parallel.DistributedDataParallel(net())
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    rows = slice(32 * rank, 32 * rank + 32)
    with watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0) as watching:
        for _ in range(3):
            optimizer.zero_grad()
            loss_fn(model(INPUTS[rows]), LABELS[rows]).backward()
            optimizer.step()
    evidence = watching.evidence
    assert evidence.model.host == "parallel"
    assert "0.weight" in evidence.probes[0].parameters
    assert evidence.probes[0].layers["2"].gradient
    assert not evidence.failed
    assert (evidence.curvature is None) == bool(rank)
    Path(place, f"report-{rank}").write_text(watching.report())
    torch.distributed.destroy_process_group()


def test_of_parallel_processes_the_first_reports(tmp_path: Path) -> None:
    multiprocessing.spawn(in_process, (2, str(tmp_path)), nprocs=2)
    assert (tmp_path / "report-0").read_text().startswith("healthy")
    assert (tmp_path / "report-1").read_text() == "Process 1 does not report; process 0 does."


def test_a_model_fed_by_name_is_measured_at_the_end_as_well() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, *, features: Tensor, scale: float) -> dict[str, Any]:
            return {"logits": self.inner(features * scale)}

    model = Named()
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    with Watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(2):
            optimizer.zero_grad()
            scores = model(features=INPUTS[:32], scale=0.5)["logits"]
            loss_fn(scores, LABELS[:32]).backward()
            optimizer.step()
    assert watching.evidence.gradient_check is not None
    assert watching.evidence.inputs is not None
    assert [each.examples for each in watching.evidence.steps] == [32, 32]


def test_of_fit_the_validation_set_alone_is_a_validation() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    train, valid = (INPUTS[:128], LABELS[:128]), (INPUTS[128:], LABELS[128:])
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        result = fit(model, optimizer, loss_fn, train, valid, batch=32, epochs=2)
    seen = watching.evidence.validations
    assert [each.loss for each in seen] == pytest.approx([e.valid_loss for e in result.history])
    assert [each.examples for each in seen] == [128, 128]


def test_of_closures_the_first_loss_counts_in_long_trainings_as_well() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=3)
    seen: list[list[float]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = loss_fn(model(INPUTS), LABELS)
        loss.backward()
        seen[-1].append(loss.item())
        return loss

    with watch(model, optimizer, loss_fn, overhead=0, at_exit=0) as watching:
        for _ in range(20):
            seen.append([])
            optimizer.step(closure)
    assert all(len(each) > 1 for each in seen)
    assert losses(watching.evidence) == pytest.approx([each[0] for each in seen])


class Halving(torch.optim.Optimizer):
    """Takes gradients by half, and has no learning rate."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for p in self.param_groups[0]["params"]:
            p -= p.grad / 2


def test_updates_of_an_optimizer_without_a_rate_are_counted_without_one() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = Halving(model.parameters())
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(5):
            optimizer.zero_grad()
            loss_fn(model(points()[0]), points()[1]).backward()
            optimizer.step()
    assert [each.lrs for each in watching.evidence.steps] == [()] * 5
    assert not watching.evidence.failed
    assert "5 updates" in watching.report()


def test_a_closed_watch_refuses_to_be_opened_again() -> None:
    model = net()
    watching = Watch(model, sgd(model.parameters()))
    watching.close()
    with (
        pytest.raises(BadValue, match="closed; expected one that is open: make a new one"),
        watching,
    ):
        pass
