"""Every scenario of sharded training, as it runs in each of several processes or in one alone.

A scenario takes a `Spread`, which makes models sharded or whole, and returns whole tensors by
name. Run without processes it returns what the sharded runs are compared with.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import thalweg
from thalweg import optim
from thalweg.algebra import ema, norm, normal, scalar
from thalweg.errors import BadType
from thalweg.rules import (
    adam,
    caution,
    centre,
    chain,
    clip_by_global_norm,
    decay,
    ema_average,
    rule,
    sgd,
    transform,
)

Found = dict[str, Any]
Scenario = Callable[["Spread"], Found]
Make = Callable[[Any], Any]

PROCESSES = 2
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


@transform("noise")
def noisy(g, *, t, seed: float = 7.0):
    """Add normal noise to the gradient."""
    return g + 0.01 * normal(seed, t)


@transform("scaling to length one")
def normalized(g):
    """Divide the gradient of each tensor by its norm."""
    return g / (norm(g) + 1e-6)


@rule("Lengths")
def lengths(g, length=scalar(1.0), *, lr=0.1):
    """Divide the gradient by the running mean of its norm, one number per tensor."""
    mean = ema(norm(g), length, 0.5)
    return lr * g / (mean + 1e-3), mean


class Spread:
    """Makes models and tensors, spread over a mesh of processes or, without one, whole."""

    def __init__(self, mesh: Any = None) -> None:
        self.mesh = mesh

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """Return a model of which one layer has rows for the first process only."""
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 1)).to(dtype)
        if self.mesh is not None:
            for layer in (model[0], model[2], model):
                fully_shard(layer, mesh=self.mesh)
        return model

    def tensor(self, values: Tensor, placement: Any) -> Tensor:
        if self.mesh is None:
            return values
        return distribute_tensor(values, self.mesh, [placement])

    @property
    def last(self) -> bool:
        """Whether this is the last of several processes."""
        return self.mesh is not None and dist.get_rank() == PROCESSES - 1


def whole(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def contents(model: nn.Module, optimizer: Any) -> Found:
    """Return all parameters and their state, whole."""
    found = {name: whole(p) for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        found |= {f"{name} {key}": whole(v) for key, v in optimizer.state[p].items()}
    return found


def give_gradients(model: nn.Module, step: int) -> None:
    """Run the model on inputs that are the same in every process."""
    generator = torch.Generator().manual_seed(step)
    model.zero_grad()
    dtype = next(model.parameters()).dtype
    x = torch.randn(5, 3, generator=generator).to(dtype)
    (model(x) - 1).square().mean().backward()


def train(model: nn.Module, optimizer: Any, steps: Iterable[int] = range(5)) -> Found:
    for step in steps:
        give_gradients(model, step)
        optimizer.step()
    return contents(model, optimizer)


def _trained(make: Make, dtype: torch.dtype = torch.float32) -> Scenario:
    def run(spread: Spread) -> Found:
        model = spread.model(dtype)
        return train(model, make(model.parameters()))

    return run


def clipped_chain(params: Any) -> Any:
    parts = chain(clip_by_global_norm, adam, decay, ema_average)
    return thalweg.Optimizer(params, parts, lr=0.1, max_norm=0.05)


def clipped_descent(params: Any) -> Any:
    return thalweg.Optimizer(params, chain(clip_by_global_norm, sgd), lr=0.1, max_norm=0.05)


def normalized_descent(params: Any) -> Any:
    return thalweg.Optimizer(params, chain(normalized, sgd), lr=0.1)


def cautious(params: Any) -> Any:
    return thalweg.Optimizer(params, chain(centre, adam, caution), lr=0.1)


def skipping(params: Any) -> Any:
    return thalweg.Optimizer(params, adam, lr=0.1, nonfinite="skip")


SCENARIOS |= {
    "adam": _trained(lambda params: optim.Adam(params, lr=0.1)),
    "momentum": _trained(lambda params: optim.SGD(params, lr=0.1, momentum=0.9)),
    "low_precision": _trained(lambda params: optim.AdamW(params, lr=0.1), torch.bfloat16),
    "clipped_together": _trained(clipped_chain),
    "clipped_descent": _trained(clipped_descent),
    "normalized_each": _trained(normalized_descent),
    "means": _trained(cautious),
    "number_per_tensor": _trained(lambda params: thalweg.Optimizer(params, lengths)),
    "noise": _trained(lambda params: thalweg.Optimizer(params, chain(noisy, sgd), lr=0.1)),
}


@scenario
def clipped_beforehand(spread: Spread) -> Found:
    model = spread.model()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for step in range(5):
        give_gradients(model, step)
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
    return contents(model, optimizer)


@scenario
def sharded_by_columns(spread: Spread) -> Found:
    """Noise on a parameter whose parts do not follow each other in the whole one."""
    p = nn.Parameter(spread.tensor(torch.zeros(4, 5), Shard(1)))
    q = nn.Parameter(spread.tensor(torch.zeros((), dtype=torch.complex64), Replicate()))
    r = nn.Parameter(spread.tensor(torch.zeros(5, dtype=torch.complex64), Shard(0)))
    optimizer = thalweg.Optimizer([p, q, r], chain(noisy, sgd), lr=1.0)
    for each in (p, q, r):
        each.grad = torch.zeros_like(each)
    optimizer.step()
    return {"p": whole(p), "q": whole(q), "r": whole(r)}


@scenario
def beside_plain_parameters(spread: Spread) -> Found:
    """A norm over sharded, replicated and plain parameters of two dtypes."""
    values = torch.arange(1.0, 6.0)
    p = nn.Parameter(spread.tensor(values, Shard(0)))
    q = nn.Parameter(spread.tensor(values.double(), Replicate()))
    r = nn.Parameter(values.clone())
    optimizer = clipped_chain([p, q, r])
    for step in range(3):
        for each in (p, q, r):
            each.grad = torch.full_like(each, 1.0 + step)
        optimizer.step()
    return {"p": whole(p), "q": whole(q), "r": r.detach()}


@scenario
def pending_sums(spread: Spread) -> Found:
    """A replicated parameter whose gradient is still to be added up, as in sequence parallelism."""
    p = nn.Parameter(spread.tensor(torch.arange(5.0), Replicate()))
    optimizer = clipped_chain([p])
    share = torch.arange(1.0, 6.0)
    for _ in range(3):
        if spread.mesh is None:
            p.grad = PROCESSES * share
        else:
            p.grad = DTensor.from_local(share, spread.mesh, [Partial()])
        optimizer.step()
    return {"p": whole(p)}


@scenario
def passed_over(spread: Spread) -> Found:
    """Parameters without a gradient, at the first step and later, in every process."""
    model = spread.model()
    optimizer = clipped_chain(model.parameters())
    for step, late in enumerate((model[0].weight, model[2].bias, model[0].bias)):
        give_gradients(model, step)
        late.grad = None
        optimizer.step()
    return contents(model, optimizer)


@scenario
def moved_storage(spread: Spread) -> Found:
    """Parameters and state that get new memory between steps, with other numbers in it."""
    params = [nn.Parameter(spread.tensor(torch.arange(5.0), Shard(0))) for _ in range(3)]
    optimizer = optim.Adam(params, lr=0.1)
    for step in range(4):
        for p in params:
            p.grad = torch.full_like(p, 1.0 + step)
        optimizer.step()
        moved = params if step == 0 else (optimizer.state[params[-1]]["exp_avg"],)
        for each in moved if step < 2 else ():
            held = each._local_tensor if isinstance(each, DTensor) else each
            held.data = held.detach() * 2
    return {str(k): whole(p) for k, p in enumerate(params)}


def _restored(spread: Spread, make: Make, options: StateDictOptions) -> Found:
    first = spread.model()
    optimizer = make(first.parameters())
    train(first, optimizer, range(3))
    kept = get_optimizer_state_dict(first, optimizer, options=options)
    second = spread.model()
    with torch.no_grad():
        for old, new in zip(first.parameters(), second.parameters(), strict=True):
            new.copy_(old)
    again = make(second.parameters())
    set_optimizer_state_dict(second, again, kept, options=options)
    return train(second, again, range(3, 5))


@scenario
def restored_from_shards(spread: Spread) -> Found:
    found: Found = {}
    for name, make in (("chain", clipped_chain), ("adam", skipping)):
        run = _restored(spread, make, StateDictOptions())
        found |= {f"{name} {key}": value for key, value in run.items()}
    return found


@scenario
def restored_from_whole_tensors(spread: Spread) -> Found:
    return _restored(spread, skipping, StateDictOptions(full_state_dict=True))


@scenario
def never_stopped(spread: Spread) -> Found:
    found: Found = {}
    for name, make in (("chain", clipped_chain), ("adam", skipping)):
        model = spread.model()
        run = train(model, make(model.parameters()))
        found |= {f"{name} {key}": value for key, value in run.items()}
    return found


@scenario
def one_process_meets_nan(spread: Spread) -> Found:
    """One process holds a NaN in its part: all of them must skip that step."""
    model = spread.model()
    optimizer = skipping(model.parameters())
    train(model, optimizer, range(2))
    give_gradients(model, 2)
    gradient: Any = next(model.parameters()).grad
    if spread.mesh is None:
        gradient[-1, -1] = torch.nan
    elif spread.last:
        gradient._local_tensor[-1, -1] = torch.nan
    optimizer.step()
    skipped = {"skipped": torch.tensor(optimizer.skipped_steps)}
    return skipped | train(model, optimizer, range(3, 5))


@scenario
def data_parallel(spread: Spread) -> Found:
    model: nn.Module = Spread().model()
    replica = model if spread.mesh is None else nn.parallel.DistributedDataParallel(model)
    optimizer = clipped_chain(model.parameters())
    for step in range(5):
        give_gradients(replica, step)
        optimizer.step()
    return contents(model, optimizer)


def kinds(spread: Spread) -> Found:
    """Return which engines run and whether state is distributed as its parameter is."""
    found: Found = {}
    for name, make in (("adam", skipping), ("chain", clipped_chain)):
        model = spread.model()
        optimizer = make(model.parameters())
        train(model, optimizer, range(1))
        (launch,) = optimizer._work.launches
        found[f"{name} engines"] = [type(engine).__name__ for engine in launch._engines]
        found[f"{name} placed"] = all(
            isinstance(p, DTensor) and value.placements == p.placements
            for p in model.parameters()
            for key, value in optimizer.state[p].items()
            if key != "step"
        )
    return found


def versions(spread: Spread) -> Found:
    """Return how often autograd is told that one step changed a parameter and its part."""
    p = nn.Parameter(spread.tensor(torch.arange(5.0), Shard(0)))
    p.grad = torch.ones_like(p)
    both = (p, p._local_tensor)  # type: ignore[attr-defined]
    before = [each._version for each in both]
    optim.Adam([p]).step()
    return {"advanced": [each._version - old for each, old in zip(both, before, strict=True)]}


def refusals(spread: Spread) -> Found:
    """Return what is said about gradients and state that are not spread as their parameter."""
    found: Found = {}
    for began in (False, True):
        p = nn.Parameter(spread.tensor(torch.arange(5.0), Shard(0)))
        optimizer = optim.Adam([p], lr=0.1)
        if began:
            p.grad = torch.ones_like(p)
            optimizer.step()
        before = whole(p)
        for kind, g in (
            ("plain", torch.ones(5)),
            ("replicated", spread.tensor(torch.ones(5), Replicate())),
        ):
            p.grad = g
            found[f"{kind} {began}"] = _refusal(optimizer.step)
            assert len(optimizer.state) == began
            assert torch.equal(whole(p), before)
    p.grad = torch.ones_like(p)
    optimizer.state[p]["exp_avg"] = torch.ones(5)
    found["state"] = _refusal(optimizer.step)
    plain = nn.Parameter(torch.arange(5.0))
    plain.grad = torch.ones(5)
    other = optim.Adam([plain])
    other.step()
    found["checkpoint"] = _refusal(lambda: optimizer.load_state_dict(other.state_dict()))
    plain.grad = spread.tensor(torch.ones(5), Shard(0))
    found["plain parameter"] = _refusal(optim.Adam([plain]).step)
    pending = nn.Parameter(DTensor.from_local(torch.ones(5), spread.mesh, [Partial()]))
    found["pending parameter"] = _refusal(lambda: optim.Adam([pending]))
    return found


def _refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except (BadType, ValueError) as error:
        return str(error)
    return "accepted"


def uneven_gradients(spread: Spread) -> Found:
    """Take steps at which only one process has gradients: the others must not wait for it."""
    found: Found = {}
    for make in (clipped_descent, normalized_descent):
        model = spread.model()
        params = list(model.parameters())
        optimizer = make(params)
        train(model, optimizer, range(1))
        for missing in (params[:1], params):
            give_gradients(model, 1)
            if spread.last:
                for p in missing:
                    p.grad = None
            optimizer.step()
        found[make.__name__] = [float(optimizer.state[p]["step"]) for p in params]
    return found


def work(rank: int, folder: str) -> None:
    """Run everything as process number *rank* and save what was found in *folder*."""
    torch.set_num_threads(1)
    method = f"file://{folder}/meeting"
    dist.init_process_group("gloo", method, timedelta(seconds=40), rank=rank, world_size=PROCESSES)
    spread = Spread(init_device_mesh("cpu", (PROCESSES,)))
    everything = {
        **SCENARIOS,
        **{f.__name__: f for f in (kinds, versions, refusals, uneven_gradients)},
    }
    found = {name: run(spread) for name, run in everything.items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
