"""Members of one model that are evaluated together: parameters and buffers stacked, traced once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx import GraphModule
from torch.nn.attention import SDPBackend, sdpa_kernel

from thalweg.errors import BadValue
from thalweg.problems import Loss
from thalweg.racing.cross_entropy import ClassByClass
from thalweg.racing.draws import Generators, draw_for_each, draws
from thalweg.racing.graph import simplified
from thalweg.racing.tracing import Flat, traced

State = dict[str, Tensor]


class Stack:
    """Several models of one kind as a single one, whose parameters have shape (members, ...).

    A model may be given several times; what is in the models is copied.

    What `torch.vmap` and autograd make of the passes is traced once for each shape of batch, and
    then run as plain operations on stacked tensors. ``parameters`` are those that are trained, by
    name, to be updated in place; ``held`` are the other parameters and the buffers, which the
    passes update themselves.
    """

    def __init__(self, models: Sequence[nn.Module], loss: Loss) -> None:
        self.model, self.loss = models[0], loss
        parts = [_parts(model) for model in models]
        self.parameters, self.held = (
            {name: torch.stack([own[place][name] for own in parts]) for name in parts[0][place]}
            for place in range(2)
        )
        self._traced: dict[tuple, Callable[..., list]] = {}

    @property
    def members(self) -> int:
        """How many models it is."""
        return len(next(iter(self.parameters.values())))

    def keep(self, places: Tensor) -> None:
        """Go on with the members at these places alone."""
        for state in (self.parameters, self.held):
            for name, each in state.items():
                state[name] = each.index_select(0, places)
        self._traced.clear()

    def gradients(
        self, inputs: Tensor, targets: Tensor, generators: Generators
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        """Return the loss of every member on its own batch, and the gradients by name.

        *inputs* and *targets* have shape (members, batch, ...). Every member draws from its own of
        the *generators*. A parameter that has nothing to do with the loss has no gradient.
        """
        train = self._prepared(True, inputs, targets)
        losses, *gradients = train(*self._state, inputs, targets, generators)
        return losses, dict(zip(self.parameters, gradients, strict=True))

    def judged(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return every member's loss on the same examples, in evaluation mode, and right answers.

        The second are counts, or None where targets are no classes of outputs (..., classes).
        """
        shared = [each.expand(self.members, *each.shape) for each in (inputs, targets)]
        losses, right = self._prepared(False, *shared)(*self._state, *shared)
        return losses, right

    @property
    def _state(self) -> list[Tensor]:
        return [*self.parameters.values(), *self.held.values()]

    def _prepared(self, training: bool, *data: Tensor) -> Callable[..., list]:
        key = (training, *((each.shape, each.stride(), each.dtype) for each in data))
        if key not in self._traced:
            self._traced[key] = self.trace(training, *data).forward
        return self._traced[key]

    def trace(self, training: bool, *data: Tensor) -> GraphModule:
        """Return one of the two passes as a graph; BadValue where it cannot be parted into lanes.

        It takes the parameters, what is held, inputs, targets and, for training, generators.
        """
        self.model.train(training)
        pass_ = self._train if training else self._evaluate
        given = self._inputs(data)
        with (
            without_fallback(),
            torch.random.fork_rng(devices=[]),
            torch.set_grad_enabled(training),
        ):
            found = simplified(traced(pass_, given))
            alone = self._alone(given) if draws(found) else None
        if not training and alone:
            raise BadValue("it draws random numbers where it is evaluated.")
        if training:
            draw_for_each(found, alone, self.members)
        return found

    def _alone(self, given: Sequence[Tensor]) -> GraphModule:
        """Return what the first member does without the others."""
        return traced(lambda own: [self._loss(*own)], [each[0] for each in given])

    def _inputs(self, data: Sequence[Tensor]) -> list[Tensor]:
        """Return the leaves of a pass, of which it may change what is held."""
        leaves = [each.detach().requires_grad_() for each in self.parameters.values()]
        return [*leaves, *(each.clone() for each in self.held.values()), *data]

    def _train(self, given: list[Tensor]) -> Flat:
        losses = self._for_all(self._loss, given)
        leaves = given[: len(self.parameters)]
        gradients = torch.autograd.grad(losses.sum(), leaves, allow_unused=True)
        return [losses.detach(), *gradients]

    def _evaluate(self, given: list[Tensor]) -> Flat:
        def judged(*own: Tensor) -> tuple[Tensor, ...]:
            output, targets = self._output(own), own[-1]
            loss = self.loss(output, targets)
            if targets.is_floating_point() or output.shape[:-1] != targets.shape:
                return (loss,)
            return loss, (output.argmax(-1) == targets).sum()

        losses, *right = self._for_all(judged, given)
        return [losses, right[0] if right else None]

    def _for_all(self, function: Callable, given: list[Tensor]) -> Any:
        with ClassByClass(), sdpa_kernel(SDPBackend.MATH):
            return vmap(function, randomness="different")(*given)

    def _loss(self, *own: Tensor) -> Tensor:
        return self.loss(self._output(own), own[-1])

    def _output(self, own: Sequence[Tensor]) -> Any:
        names = [*self.parameters, *self.held]
        return functional_call(self.model, dict(zip(names, own[:-2], strict=True)), (own[-2],))


def _parts(model: nn.Module) -> tuple[State, State]:
    """Return what is trained of a model, and what is not."""
    named = {name: each.detach() for name, each in model.named_parameters()}
    trained = {name: named.pop(name) for name, p in model.named_parameters() if p.requires_grad}
    return trained, {**named, **dict(model.named_buffers())}


@contextmanager
def without_fallback() -> Iterator[None]:
    """Let what `torch.vmap` could only do member by member, which is slow, raise RuntimeError."""
    switch: Any = torch._C._functorch
    allowed = switch._is_vmap_fallback_enabled()
    switch._set_vmap_fallback_enabled(False)
    try:
        yield
    finally:
        switch._set_vmap_fallback_enabled(allowed)
