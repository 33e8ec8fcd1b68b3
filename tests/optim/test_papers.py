"""Classes for rules that torch lacks: torch's manner, the paper's rule."""

import inspect
import math
import pickle
from typing import Any

import pytest
import torch

import thalweg
from thalweg import optim
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.rules import chain, decay, find
from thalweg.schedules import linear
from thalweg.testing import check_optimizer

PAPERS = {
    "PowerSign": "powersign",
    "AddSign": "addsign",
    "Lion": "lion",
    "Yogi": "yogi",
    "AdaBelief": "adabelief",
    "LARS": "lars",
    "LAMB": "lamb",
    "SGDW": "sgdw",
}


def model() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in ((3, 4), (5,))
    ]
    for p in made:
        p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return made


def moved(optimizer: torch.optim.Optimizer, steps: int = 6) -> list[torch.Tensor]:
    params = optimizer.param_groups[0]["params"]
    for step in range(steps):
        for p in params:
            p.grad = p.grad * (-1) ** (step % 3)
        optimizer.step()
    return [p.detach().clone() for p in params]


@pytest.mark.parametrize("name", PAPERS)
def test_a_class_runs_the_rule_of_its_name_with_the_same_defaults(name: str) -> None:
    key = PAPERS[name]
    ours = moved(getattr(optim, name)(model()))
    plain = moved(thalweg.Optimizer(model(), key))
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


@pytest.mark.parametrize("name", ["PowerSign", "AddSign"])
@pytest.mark.parametrize("kind", ["linear", "cosine", "restart"])
def test_the_decay_of_signs_is_chosen_by_name(name: str, kind: str) -> None:
    ours = moved(getattr(optim, name)(model(), decay=kind, decay_steps=4))
    plain = moved(thalweg.Optimizer(model(), f"{name.lower()}_{kind}", decay_steps=4))
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


def test_a_decay_of_signs_needs_a_horizon_and_a_known_name() -> None:
    with pytest.raises(BadValue, match="decay='linear' needs decay_steps"):
        optim.PowerSign(model(), decay="linear")
    optimizer = optim.PowerSign(model())
    optimizer.param_groups[0]["decay"] = "cosine"
    with pytest.raises(BadValue, match="decay='cosine' needs decay_steps"):
        optimizer.step()
    with pytest.raises(UnknownName, match=r"decay='cosin'\. Did you mean 'cosine'\?"):
        optim.AddSign(model(), decay="cosin", decay_steps=10)


def test_signs_decay_to_plain_descent_at_the_horizon() -> None:
    params = model()
    optimizer = optim.PowerSign(params, decay="linear", decay_steps=3)
    moved(optimizer, 3)
    before = [p.detach().clone() for p in params]
    gradients = [torch.clone(p.grad) for p in params if p.grad is not None]
    optimizer.step()
    for p, old, g in zip(params, before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.1 * g, rtol=1e-12, atol=0)


def test_lions_decay_is_decoupled() -> None:
    ours = moved(optim.Lion(model(), weight_decay=0.1))
    plain = moved(thalweg.Optimizer(model(), chain(find("lion"), decay), weight_decay=0.1))
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


def test_signatures_begin_as_the_papers_name_their_numbers() -> None:
    def first(name: str) -> dict[str, Any]:
        found = inspect.signature(getattr(optim, name)).parameters
        return {key: each.default for key, each in list(found.items())[1:5]}

    assert first("PowerSign") == {"lr": 0.1, "beta": 0.9, "alpha": math.e, "decay": "none"}
    assert first("AddSign") == {"lr": 0.1, "beta": 0.9, "alpha": 1, "decay": "none"}
    assert list(first("Lion").items())[:3] == [
        ("lr", 1e-4), ("betas", (0.9, 0.99)), ("weight_decay", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["Lion", "PowerSign", "Yogi", "Rprop"])
def test_rules_of_signs_refuse_complex_parameters(name: str) -> None:
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(BadType, match="complex numbers have none"):
        getattr(optim, name)([p])


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
def test_rules_of_norms_refuse_tensors_without_elements(name: str) -> None:
    with pytest.raises(BadValue, match=r"params\[1\] has no elements"):
        getattr(optim, name)([torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(0))])


@pytest.mark.parametrize("seed", [0.5, -1, math.nan, math.inf])
def test_a_seed_is_a_whole_number(seed: float) -> None:
    with pytest.raises(BadValue, match="legal range .*whole"):
        thalweg.Optimizer(model(), chain(thalweg.rules.add_noise, find("sgd")), seed=seed)


def _checks() -> list[Any]:
    makers = {name: getattr(optim, name) for name in PAPERS}
    return [
        pytest.param(check, id=f"{name}: {check}")
        for name, make in makers.items()
        for check in check_optimizer(make)
    ]


@pytest.mark.parametrize("check", _checks())
def test_optimizer_contract(check: Any) -> None:
    check()


def test_a_class_of_ones_own_may_wrap_the_signs() -> None:
    class Mine(optim.PowerSign):
        pass

    moved(Mine(model()))


@pytest.mark.parametrize("rule", ["adamw_paper", "sgdw_paper"])
def test_decay_by_the_schedule_is_measured_from_the_rate_given(rule: str) -> None:
    optimizer = thalweg.Optimizer(model(), rule, lr=0.1, weight_decay=0.01)
    assert optimizer.param_groups[0]["base_lr"] == 0.1
    falling = thalweg.Optimizer(model(), rule, lr=linear(0.0, 0.2, steps=5))
    assert falling.param_groups[0]["base_lr"] == 0.2
    chosen = thalweg.Optimizer(model(), rule, lr=0.1, base_lr=0.3)
    assert chosen.param_groups[0]["base_lr"] == 0.3


def test_centring_refuses_complex_parameters() -> None:
    p = torch.nn.Parameter(torch.ones(2, 3, dtype=torch.complex64))
    with pytest.raises(BadType, match="means over the units of a layer"):
        thalweg.Optimizer([p], chain(thalweg.rules.centre, find("sgd")))


def test_a_sparse_gradient_cannot_be_differentiated_through() -> None:
    p = torch.ones(4, 2, requires_grad=True)
    q = p.clone()
    optimizer = optim.Adam([q], differentiable=True)
    q.grad = torch.ones(4, 2).to_sparse(1)
    with pytest.raises(BadType, match="differentiable=True takes dense gradients"):
        optimizer.step()


def test_a_checkpoint_does_not_decide_whether_steps_are_differentiable() -> None:
    plain = optim.Adam(model())
    moved(plain)
    recorded = optim.Adam([p.detach().clone() for p in model()], differentiable=True)
    recorded.load_state_dict(plain.state_dict())
    assert recorded.param_groups[0]["differentiable"] is True
    plain.load_state_dict(recorded.state_dict())
    assert plain.param_groups[0]["differentiable"] is False


@pytest.mark.parametrize("name", ["adamw", "lamb", "nadam_keras"])
def test_a_rule_of_the_registry_is_itself_after_pickling(name: str) -> None:
    assert pickle.loads(pickle.dumps(find(name))) is find(name)
