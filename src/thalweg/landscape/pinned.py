"""A model held still: the same numbers whenever it is asked, and afterwards as it was before."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.landscape.batches import placed
from thalweg.landscape.twice import twice_differentiable
from thalweg.problems.modes import in_mode


@final
class PinnedModel:
    """A model and its loss in one mode, one precision and one state of the random numbers.

    The model is never written to: it is called on parameters given from outside and on copies of
    its buffers. Modes are put back after each call, and so are torch's random numbers.
    """

    def __init__(
        self, model: nn.Module, loss: Any, training: bool, dtype: torch.dtype, seed: int
    ) -> None:
        self.model, self.training, self.dtype, self.seed = unwrapped(model), training, dtype, seed
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.criterion = _in_precision(loss, dtype)
        self.fixed = {
            name: placed(tensor.detach().clone(), self.device, dtype)
            for name, tensor in self._untrained()
        }

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that require a gradient, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def _untrained(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.named_buffers()
        yield from ((name, p) for name, p in self.model.named_parameters() if not p.requires_grad)

    def output(self, parameters: Mapping[str, Tensor], inputs: Any) -> Any:
        """Return what the model makes of *inputs* with these parameters."""
        state = {**parameters, **{name: tensor.clone() for name, tensor in self.fixed.items()}}
        with self._still():
            return functional_call(self.model, state, (placed(inputs, self.device, self.dtype),))

    def loss(self, output: Any, targets: Any) -> Tensor:
        """Return the loss of *output*."""
        with self._still():
            return self.criterion(output, placed(targets, self.device, self.dtype))

    @contextmanager
    def _still(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(in_mode(self.model, self.training))
            stack.enter_context(torch.random.fork_rng(devices=generators(self.device)))
            stack.enter_context(twice_differentiable(self.model))
            self._seed()
            yield

    def _seed(self) -> None:
        """Seed the generators that the model may draw from; `torch.manual_seed` looks for more."""
        torch.default_generator.manual_seed(self.seed)
        if generators(self.device):
            torch.cuda.manual_seed_all(self.seed)
        if self.device.type == "mps":
            torch.mps.manual_seed(self.seed)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside those that compile or distribute it: they have no second order."""
    inner = getattr(model, "_orig_mod", model)
    if isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner = inner.module
    return inner if inner is model else unwrapped(inner)


def _in_precision(loss: Any, dtype: torch.dtype) -> Any:
    """Return a loss whose own weights, if it has any, are in *dtype*."""
    if not isinstance(loss, nn.Module):
        return loss
    own = [*loss.parameters(), *loss.buffers()]
    return deepcopy(loss).to(dtype) if any(each.dtype != dtype for each in own) else loss


def generators(device: torch.device) -> list[int]:
    """Return the numbers of the GPUs whose generators a seed would change."""
    seeded = device.type == "cuda" or torch.cuda.is_initialized()
    return list(range(torch.cuda.device_count())) if seeded else []
