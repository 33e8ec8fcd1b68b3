"""torch.compile goes around a step, not through it: right numbers, no warnings, no cost."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twins import assert_same_bits

import thalweg
from thalweg import optim
from thalweg.rules import adam, chain, clip_by_global_norm, decay

Make = Callable[[Any], Any]

OPTIMIZERS: dict[str, Make] = {
    "Adam": lambda params: optim.Adam(params, lr=0.1),
    "SGD": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    "chain": lambda params: thalweg.Optimizer(params, chain(clip_by_global_norm, adam, decay)),
}


@pytest.fixture(autouse=True)
def _silent_and_fresh(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Start each test with nothing compiled, and fail if it warned of anything."""
    torch.compiler.reset()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    torch.compiler.reset()
    assert [str(each.message) for each in seen] == []
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


def compiled(function: Callable, backend: str = "eager") -> Callable:
    return torch.compile(function, backend=backend)


def same(function: Callable) -> Callable:
    return function


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def stepped(make: Make, wrap: Callable) -> list[Tensor]:
    model = small_model()
    optimizer = make(model.parameters())
    step = wrap(optimizer.step)
    for number in range(4):
        for p in model.parameters():
            p.grad = torch.full_like(p, number - 1.5)
        step()
    return list(model.parameters())


def trained(make: Make, wrap: Callable) -> tuple[list[Tensor], list[str]]:
    model, seen = small_model(), []
    optimizer = make(model.parameters())
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    x = torch.linspace(-1, 1, 15).reshape(5, 3)

    def train() -> Tensor:
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = wrap(train)
    losses = [run() for _ in range(4)]
    return [*losses, *model.parameters()], seen


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_compiled_step_does_what_the_step_does(name: str) -> None:
    make = OPTIMIZERS[name]
    assert_same_bits(stepped(make, compiled), stepped(make, same))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_compiled_training_function_takes_the_same_path_and_runs_hooks(name: str) -> None:
    make = OPTIMIZERS[name]
    found, seen = trained(make, compiled)
    expected, _ = trained(make, same)
    assert_same_bits(found, expected)
    assert seen == ["before", "after"] * 4


def test_a_model_compiled_ahead_of_time_is_trained_in_a_compiled_function() -> None:
    found, _ = trained(OPTIMIZERS["Adam"], lambda f: compiled(f, "aot_eager"))
    expected, _ = trained(OPTIMIZERS["Adam"], same)
    torch.testing.assert_close(found, expected)


def test_a_step_breaks_the_graph_once_and_nothing_below_it_is_traced() -> None:
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    optimizer = optim.Adam([p])

    def around(x: Tensor) -> Tensor:
        x = x * 2
        optimizer.step()
        return x + 1

    explained = torch._dynamo.explain(around)(torch.ones(2))
    assert explained.graph_break_count == 1
    assert explained.graph_count == 2


def test_a_closure_in_a_compiled_step_is_evaluated() -> None:
    def run(wrap: Callable) -> list[Tensor]:
        p = nn.Parameter(torch.ones(3))
        optimizer = optim.SGD([p], lr=0.1)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (p**2).sum()
            loss.backward()
            return loss

        step = wrap(lambda: optimizer.step(closure))
        return [*[step().detach() for _ in range(3)], p]

    assert_same_bits(run(compiled), run(same))


def test_a_subclass_that_extends_the_step_can_be_compiled() -> None:
    class Doubled(thalweg.Optimizer):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            return super().step(closure)

    def make(params: Any) -> Any:
        return Doubled(params, adam, lr=0.1)

    assert_same_bits(stepped(make, compiled), stepped(make, same))


def test_importing_thalweg_does_not_import_the_compiler() -> None:
    text = "import sys, thalweg.optim; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr[-2000:]
