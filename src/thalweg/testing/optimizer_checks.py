"""What every torch optimizer promises, whoever wrote it."""

import copy
import pickle
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.testing.checks import Check, bind, promise

Make = Callable[[list[Tensor]], Optimizer]

_PROMISES: list[Callable[[Make], None]] = []


def check_optimizer(make: Make) -> Iterator[Check]:
    """Yield the named checks of the optimizers that *make* returns for a list of parameters.

    ``check_optimizer(lambda params: MyOptimizer(params, lr=0.01))``

    An optimizer that cannot keep a promise says so in a mapping ``limits`` from the check's name
    to the reason; the check then makes sure that the promise is indeed not kept.
    """
    for check in bind(_PROMISES, make):
        yield Check(check.name, partial(_run, check, make))


def _run(check: Check, make: Make) -> None:
    limit = getattr(make(_parameters()), "limits", {}).get(check.name)
    if limit is None:
        return check()
    try:
        check()
    except AssertionError:
        return None
    raise AssertionError(f"declared not to hold ({limit}), but it does: {check}")


def _parameters(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((5, 3), (3,), ())
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def _steps(optimizer: Optimizer, params: list[Tensor], count: int, first: int = 0) -> None:
    for k in range(first, first + count):
        generator = torch.Generator().manual_seed(k)
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator) + p.detach()
        optimizer.step()


def _assert_equal(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b), f"differs by {(a - b).abs().max():.3g}"


@promise(_PROMISES)
def it_is_a_torch_optimizer(make: Make) -> None:
    """Schedulers and trainers accept it."""
    assert isinstance(make(_parameters()), Optimizer)


@promise(_PROMISES)
def it_leaves_parameters_without_gradients_alone(make: Make) -> None:
    """A missing gradient is not a zero gradient: neither decay nor momentum moves it."""
    params = _parameters()
    optimizer = make(params)
    _steps(optimizer, params, 2)
    before = params[1].detach().clone()
    for p in params:
        p.grad = torch.ones_like(p)
    params[1].grad = None
    optimizer.step()
    assert torch.equal(params[1], before)


@promise(_PROMISES)
def it_starts_a_late_parameter_as_if_it_were_alone(make: Make) -> None:
    """A parameter whose first gradient comes late has a clock of its own."""
    late, alone = _parameters(), _parameters()
    together, single = make(late), make([alone[1]])
    for k in range(6):
        g = torch.full((3,), float(k + 1))
        late[0].grad = torch.ones_like(late[0])
        late[1].grad = g.clone() if k >= 3 else None
        together.step()
        alone[1].grad = g
        if k >= 3:
            single.step()
    torch.testing.assert_close(late[1], alone[1], rtol=1e-6, atol=1e-7)


@promise(_PROMISES)
def it_never_writes_to_gradients(make: Make) -> None:
    """Gradients are the caller's: logging and accumulation go on to see them."""
    params = _parameters()
    optimizer = make(params)
    _steps(optimizer, params, 1)
    copies = [p.grad.clone() for p in params if p.grad is not None]
    optimizer.step()
    _assert_equal([p.grad for p in params if p.grad is not None], copies)


@promise(_PROMISES)
def it_goes_on_from_its_state_dict_with_the_same_bits(make: Make) -> None:
    """Saving, loading into a new optimizer and going on equals never having stopped."""
    straight, resumed = _parameters(), _parameters()
    a, b = make(straight), make(resumed)
    _steps(a, straight, 6)
    _steps(b, resumed, 3)
    c = make(resumed)
    c.load_state_dict(copy.deepcopy(b.state_dict()))
    _steps(c, resumed, 3, first=3)
    _assert_equal(resumed, straight)


@promise(_PROMISES)
def it_goes_on_from_a_copy_with_the_same_bits(make: Make) -> None:
    """A deep copy and a pickled copy go on like the original, and apart from it."""
    params = _parameters()
    optimizer = make(params)
    _steps(optimizer, params, 3)
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    _steps(optimizer, params, 2, first=3)
    for each in copies:
        own = [p for group in each.param_groups for p in group["params"]]
        _steps(each, own, 2, first=3)
        _assert_equal(own, params)


@promise(_PROMISES)
def it_returns_what_the_closure_returns(make: Make) -> None:
    """A closure is called once with gradients enabled, and its value comes back."""
    params = _parameters()
    calls: list[bool] = []
    losses: list[Tensor] = []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        loss = torch.stack([(p * p).sum() for p in params]).sum()
        loss.backward()
        losses.append(loss)
        return loss

    step: Callable = make(params).step
    assert [step(closure)] == losses
    assert calls == [True]


@promise(_PROMISES)
def its_hooks_are_called_around_a_step(make: Make) -> None:
    """Hooks registered on the optimizer see every step, in order."""
    params = _parameters()
    optimizer = make(params)
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    _steps(optimizer, params, 2)
    assert seen == ["before", "after"] * 2


@promise(_PROMISES)
def it_updates_a_group_added_later(make: Make) -> None:
    """A group added in the middle of training is trained from then on."""
    params = _parameters()
    optimizer = make(params[:1])
    _steps(optimizer, params[:1], 2)
    optimizer.add_param_group({"params": params[1:]})
    before = params[1].detach().clone()
    _steps(optimizer, params, 1)
    assert not torch.equal(params[1], before)


@promise(_PROMISES)
def it_tells_autograd_that_parameters_changed(make: Make) -> None:
    """Backward through values saved before a step raises instead of using changed numbers."""
    params = _parameters()
    optimizer = make(params)
    loss = sum((p**3).sum() for p in params)
    assert isinstance(loss, Tensor)
    _steps(optimizer, params, 1)
    try:
        loss.backward()
    except RuntimeError:
        return
    raise AssertionError("backward used parameters that a step had changed")


@promise(_PROMISES)
def it_stands_still_at_learning_rate_zero(make: Make) -> None:
    """With lr = 0 in every group, no parameter moves."""
    params = _parameters()
    optimizer = make(params)
    if any("lr" not in group for group in optimizer.param_groups):
        return
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in params]
    _steps(optimizer, params, 1)
    _assert_equal(params, before)
