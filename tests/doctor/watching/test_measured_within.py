"""What is measured at the end keeps to its seconds, and to each module's own mode."""

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Watch
from thalweg.doctor.evidence import Evidence
from watched import points, sgd

INPUTS, LABELS = points()


class Slow(nn.Module):
    """Takes its time for each pass, and counts them."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.seconds, self.calls = nn.Linear(4, 2), seconds, 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        time.sleep(self.seconds)
        return self.inner(inputs)


def ended(seconds: float, at_exit: float, **options: Any) -> tuple[Evidence, int, str]:
    """What was seen of a slow model, how often it was called at the end, and the report."""
    model, loss_fn = Slow(seconds), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    watch = Watch(model, optimizer, loss_fn, at_exit=at_exit, **options)
    for _ in range(2):
        optimizer.zero_grad()
        loss_fn(model(INPUTS), LABELS).backward()
        optimizer.step()
    before = model.calls
    watch.close()
    return watch.evidence, model.calls - before, watch.report()


@pytest.mark.parametrize("options", [{}, {"overhead": 0.0}])
def test_nothing_is_measured_where_a_single_pass_takes_too_long(options: Any) -> None:
    evidence, calls, report = ended(0.4, 0.2, **options)
    assert calls == 0
    assert evidence.curvature is None
    for kind in ("curvature", "noise", "gradient check"):
        reason = evidence.lacks(kind)
        assert reason is not None
        assert reason.startswith("not measured: one pass takes about 0.")
        assert reason.endswith(" s, and at_exit=0.2")
    assert "one pass takes about 0." in " ".join(report.split())


def test_passes_at_the_end_keep_to_the_seconds() -> None:
    evidence, calls, _ = ended(0.2, 0.5)
    assert calls == 1
    assert "it would need about" in (evidence.lacks("curvature") or "")


def frozen(training: bool) -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(8)
    nn.init.constant_(norm.running_mean, 3.0)  # type: ignore[arg-type]
    model = nn.Sequential(nn.Linear(4, 8), norm, nn.Tanh(), nn.Linear(8, 2))
    model.train(training)
    model[1].train(not training)
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("overhead", [0.0, 1e9])
def test_each_module_is_measured_in_the_mode_that_it_trained_in(
    training: bool, overhead: float
) -> None:
    model, loss_fn = frozen(training), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Watch(model, optimizer, loss_fn, overhead=overhead, at_exit=60.0) as watch:
        for _ in range(2):
            optimizer.zero_grad()
            loss_fn(model(INPUTS), LABELS).backward()
            optimizer.step()
        expected = float(loss_fn(model(INPUTS), LABELS))
        moments = model[1].running_mean.clone()  # type: ignore[operator]
        model.eval()
    found = watch.evidence.loss_slice
    assert found is not None
    assert found.random[len(found.random) // 2] == pytest.approx(expected, rel=1e-5)
    assert watch.evidence.probes[-1].layers["1"].training == (not training)
    assert not any(each.training for each in model.modules())
    assert torch.equal(model[1].running_mean, moments)  # type: ignore[arg-type]


class Stepwise(nn.Module):
    """A recurrent cell that is called once a time step."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell, self.last = cell, nn.Linear(cell.hidden_size, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        state: Any = None
        for time_step in range(6):
            state = self.cell(inputs + time_step) if state is None else self.cell(inputs, state)
        return self.last(state[0] if isinstance(state, tuple) else state)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_that_is_called_step_by_step_is_looked_into(kind: Any) -> None:
    shares = []
    for size in (0.5, 50.0):
        torch.manual_seed(0)
        model = Stepwise(kind(4, 8))
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh"):
                getattr(model.cell, name).mul_(size)
        optimizer = sgd(model.parameters())
        with Watch(model, optimizer, nn.CrossEntropyLoss(), overhead=1e9, at_exit=0) as watch:
            nn.functional.cross_entropy(model(INPUTS), LABELS).backward()
            optimizer.step()
        (probe,) = watch.evidence.probes
        shares.append(probe.layers["cell"].saturated)
        assert not watch.evidence.failed
    assert shares[0] == pytest.approx(0.0, abs=0.05)
    assert shares[1] is not None
    assert shares[1] > 0.6
