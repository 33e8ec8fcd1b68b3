"""The optimizer contract holds for ours, holds for torch's, and catches one that breaks it."""

import pytest
import torch

import thalweg
from thalweg import optim
from thalweg.rules import catalogue, variants
from thalweg.testing import check_optimizer

NAMED = (
    optim.SGDW, optim.Adagrad, optim.Adadelta, optim.RMSprop, optim.Adam, optim.AdamW,
    optim.Adamax, optim.NAdam, optim.RAdam, optim.Rprop, optim.SparseAdam,
)  # fmt: skip
OURS = {
    **{cls.__name__: cls for cls in NAMED},
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "SGD with momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    **{
        f"Optimizer {key}": lambda params, rule=rule: thalweg.Optimizer(params, rule)
        for key, rule in {**catalogue, **variants}.items()
    },
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}: {check}")
        for name, make in OURS.items()
        for check in check_optimizer(make)
    ],
)
def test_our_optimizers_keep_the_contract(check):
    check()


def test_rprop_reads_its_learning_rate_only_at_the_first_gradient():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.Rprop([p], lr=0.0, step_sizes=(0.25, 1.0))
    p.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(p.detach(), torch.full((3,), 0.75))


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"torch {name}: {check}")
        for name in ("Adam", "AdamW", "RMSprop")
        for check in check_optimizer(getattr(torch.optim, name))
    ],
)
def test_torch_keeps_the_contract_too(check):
    check()


class Forgetful(torch.optim.SGD):
    """Writes to gradients, moves what has none, and loses its state."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(0.1 if p.grad is None else p.grad.mul_(0.1))


def test_the_contract_catches_an_optimizer_that_breaks_it():
    broken = set()
    for check in check_optimizer(Forgetful):
        try:
            check()
        except AssertionError:
            broken.add(check.name)
    assert broken >= {
        "it leaves parameters without gradients alone",
        "it never writes to gradients",
        "it returns what the closure returns",
        "it tells autograd that parameters changed",
        "it stands still at learning rate zero",
    }
