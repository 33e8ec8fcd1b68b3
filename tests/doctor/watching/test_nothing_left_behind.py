"""Copies and files of a watched model are free of the watch, and nothing of it outlives it."""

import copy
import io
import pickle
import sys
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor import Watch
from thalweg.doctor.watching.hooks import Hook
from watched import net, points, sgd

INPUTS, LABELS = points()


def hooks_of(model: nn.Module) -> list[Any]:
    stores = [(m._forward_hooks, m._forward_pre_hooks) for m in model.modules()]
    return [hook for both in stores for store in both for hook in store.values()]


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(INPUTS), LABELS).backward()
    optimizer.step()


def test_a_model_that_is_saved_while_it_is_watched_is_loaded_without_the_watch() -> None:
    model = net()
    watch = Watch(model, sgd(model.parameters()), nn.CrossEntropyLoss())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert any(isinstance(each, Hook) for each in hooks_of(model))
    assert not any(isinstance(each, Hook) for each in hooks_of(loaded))
    assert torch.equal(loaded(INPUTS), model(INPUTS))
    watch.close()


def test_a_copy_made_while_the_model_is_watched_is_not_watched_and_can_be_saved() -> None:
    model = net()
    watch = Watch(model, sgd(model.parameters()), nn.CrossEntropyLoss())
    twin = copy.deepcopy(model)
    twin(INPUTS)
    assert not any(isinstance(each, Hook) for each in hooks_of(twin))
    assert not watch._seen.passes.current.args
    watch.close()
    assert pickle.loads(pickle.dumps(twin))(INPUTS).shape == (len(INPUTS), 2)
    assert not hooks_of(model)


class Offset(nn.Module):
    """Puts out its own parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.bias


class Shifted(nn.Module):
    """Adds an offset to what a network puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.offset = net(), Offset()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs) + self.offset(inputs)


def test_a_parameter_that_a_module_puts_out_loses_its_hooks_after_each_probe() -> None:
    model = Shifted()
    optimizer = sgd(model.parameters())
    watch = Watch(model, optimizer, overhead=1e9, at_exit=0)
    for _ in range(3):
        step(model, optimizer)
        assert not model.offset.bias._backward_hooks
    assert all(each.layers["offset"].gradient for each in watch.evidence.probes)
    model(INPUTS)
    assert model.offset.bias._backward_hooks
    watch.close()
    assert not model.offset.bias._backward_hooks


def plain(scores: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores, labels)


def test_a_watch_that_is_dropped_while_it_awaits_a_loss_gives_the_profiler_back() -> None:
    model = net()
    watch = Watch(model, sgd(model.parameters()), plain)
    model(INPUTS)
    assert sys.getprofile() is not None
    del watch
    assert sys.getprofile() is None
