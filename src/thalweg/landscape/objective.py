"""A loss as a function of one flat vector: its value, its gradient, and what it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.landscape.batches import Batch, read
from thalweg.landscape.layout import Layout
from thalweg.landscape.pinned import PinnedModel
from thalweg.problems import own_gradient

PRECISIONS = (torch.float32, torch.float64)


class Term(ABC):
    """One part of a mean: its loss is that of an output, and it counts *weight*.

    It holds so many *examples*; *targets* are theirs, None for a plain function.
    """

    weight: float
    examples: int = 1
    targets: Any = None

    @abstractmethod
    def output(self, parameters: Mapping[str, Tensor]) -> Any:
        """Return what the loss is taken of, such as a model's predictions for one batch."""

    @abstractmethod
    def loss(self, output: Any) -> Tensor:
        """Return the loss of *output*, one number."""


@final
class Objective:
    """The mean loss over data as a function of all numbers that are trained, in one flat vector.

    `objective` makes one of a model, `function` one of a plain function. ``point`` (size,) is where
    the model stood when this was made; training goes on without moving it. ``mode`` is
    ``evaluation`` or ``training``, or ``function`` where there is no ``model``. ``sources`` are the
    tensors that were flattened, by name, as an optimizer knows them.
    """

    def __init__(
        self, terms: Sequence[Term], sources: Mapping[str, Tensor], dtype: torch.dtype, mode: str,
        model: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.terms, self.sources, self.mode = tuple(terms), dict(sources), mode
        self.model = model
        self.layout = Layout({name: tuple(each.shape) for name, each in sources.items()})
        self.point = self.layout.join({k: p.detach().to(dtype) for k, p in sources.items()})

    @property
    def size(self) -> int:
        """How many numbers are trained."""
        return self.layout.size

    def at(self, point: Tensor | None) -> Tensor:
        """Return a copy of *point*, or of where the model stood, in this objective's precision."""
        if point is None:
            return self.point.clone()
        self.layout.check(point)
        return point.detach().to(self.point, copy=True)

    @torch.no_grad()
    def __call__(self, point: Tensor | None = None) -> float:
        """Return the mean loss at *point* (size,); it may be infinite or NaN.

        Raises BadValue for a loss that is no single number.
        """
        parameters = self.layout.split(self.at(point))
        losses = [(each.weight, each.loss(each.output(parameters))) for each in self.terms]
        for _, loss in losses:
            check_scalar(loss)
        return float(sum(weight * loss for weight, loss in losses))

    def gradient(self, point: Tensor | None = None) -> Tensor:
        """Return the gradient (size,) of the mean loss at *point*.

        Raises BadValue for a loss that is no single finite number or has no gradient.
        """
        return sum_of(each.weight * g for each, g in self.gradients(point))

    def gradients(self, point: Tensor | None = None) -> Iterator[tuple[Term, Tensor]]:
        """Yield each term with the gradient (size,) of its own mean loss at *point*."""
        place = self.at(point).requires_grad_()
        for term in self.terms:
            with torch.enable_grad():
                loss = loss_of(term, self.layout.split(place))
                yield term, torch.autograd.grad(loss, place)[0]


def objective(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], data: Any, *,
    training: bool = False, dtype: torch.dtype | None = None, batch: int = 1000, seed: int = 0,
) -> Objective:  # fmt: skip
    """Return the mean of ``loss(model(inputs), targets)`` over *data* as a function of a vector.

    *data* is a pair (inputs, targets) for one batch, or a Split, Dataset, DataLoader or iterable of
    pairs. It is read once, here; a loader's batches stay as they come, of anything else *batch*
    examples are computed at a time. Batches weigh as much as they have examples. With *training*,
    dropout draws the same mask for each batch, from *seed*, and batch normalization uses each
    batch's moments; otherwise both are in evaluation mode. *dtype* is that of the parameters unless
    given, float32 or float64. The model is left as it is.

    Raises BadType and BadValue for what cannot be used, a loss that writes its own gradient
    included.
    """
    check_count("batch", batch)
    _check(model, loss)
    trained = [p for p in model.parameters() if p.requires_grad]
    dtype = _precision(dtype, trained)
    pinned = PinnedModel(model, loss, training, dtype, seed)
    batches = read(data, batch)
    total = sum(each.examples for each in batches)
    terms = [_ModelTerm(pinned, each, each.examples / total) for each in batches]
    mode = "training" if training else "evaluation"
    return Objective(terms, pinned.trained(), dtype, mode, pinned.model)


def function(
    inner: Callable[[Tensor], Any], point: Tensor, *,
    loss: Callable[[Any], Tensor] | None = None, dtype: torch.dtype | None = None,
) -> Objective:  # fmt: skip
    """Return ``loss(inner(point))`` of a flat *point* (size,); without loss, ``inner(point)``.

    The Gauss-Newton operator needs the two apart: its outer curvature is that of *loss*. Raises
    BadType and BadValue for what cannot be used.
    """
    if not callable(inner):
        raise BadType(f"the function is a {type(inner).__name__}; expected one of a flat tensor.")
    if not isinstance(point, Tensor) or point.ndim != 1 or not point.numel():
        raise BadType(f"point should be a tensor with one dimension, got {_described(point)}.")
    term = _FunctionTerm(inner, loss)
    return Objective([term], {"point": point}, _precision(dtype, [point]), "function")


@final
class _ModelTerm(Term):
    def __init__(self, pinned: PinnedModel, batch: Batch, weight: float) -> None:
        self.pinned, self.batch, self.weight = pinned, batch, weight
        self.examples, self.targets = batch.examples, batch.targets

    def output(self, parameters: Mapping[str, Tensor]) -> Any:
        return self.pinned.output(parameters, self.batch.inputs)

    def loss(self, output: Any) -> Tensor:
        return self.pinned.loss(output, self.batch.targets)


@final
class _FunctionTerm(Term):
    weight = 1.0

    def __init__(self, inner: Callable[[Tensor], Any], outer: Callable | None) -> None:
        self.inner, self.outer = inner, outer

    def output(self, parameters: Mapping[str, Tensor]) -> Any:
        return self.inner(parameters["point"])

    def loss(self, output: Any) -> Tensor:
        return output if self.outer is None else self.outer(output)


def loss_of(term: Term, parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of one term, or raise BadValue where it cannot be differentiated."""
    loss = term.loss(term.output(parameters))
    check_loss(loss)
    return loss


def check_scalar(loss: Any) -> None:
    """Raise BadValue unless *loss* is a tensor of one number."""
    if not isinstance(loss, Tensor) or loss.shape != ():
        raise BadValue(
            f"the loss is {_described(loss)}; expected a tensor of one number and no dimensions, "
            'such as the mean over the batch (reduction="mean").'
        )


def check_loss(loss: Any) -> None:
    """Raise BadValue unless *loss* is one finite number that has a gradient."""
    check_scalar(loss)
    if not loss.requires_grad:
        raise BadValue(
            "the loss does not require a gradient: no trained parameter enters it, or the model or "
            "the loss cuts it off, as detach(), item(), numpy() and no_grad do."
        )
    if not loss.isfinite():
        raise BadValue(
            f"the loss is {loss.item()} at this point, so it has no curvature there. Look at "
            "earlier weights, or at the data."
        )


def sum_of(vectors: Iterator[Tensor]) -> Tensor:
    """Return the sum of one or more vectors, added up in the first of them."""
    total = next(vectors).clone()
    for vector in vectors:
        total += vector
    return total


def _check(model: Any, loss: Any) -> None:
    if not isinstance(model, nn.Module):
        raise BadType(
            f"the model is a {type(model).__name__}; expected a torch.nn.Module. For a plain "
            "function of a flat tensor there is landscape.function."
        )
    if not callable(loss):
        raise BadType(f"the loss is a {type(loss).__name__}; expected loss(output, targets).")
    if own_gradient(loss) is not None:
        raise BadValue(
            f"{type(loss).__name__} writes its gradient itself, which is not the gradient of its "
            "value, so there is no function whose curvature training feels. Give a loss that is "
            "differentiated, such as the reconstruction error."
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise BadValue("no parameter of the model requires a gradient; there is nothing to vary.")


def _precision(asked: torch.dtype | None, tensors: Sequence[Tensor]) -> torch.dtype:
    if any(each.is_complex() for each in tensors):
        raise BadType("complex parameters are not supported; see them as pairs (view_as_real).")
    dtype = asked or tensors[0].dtype
    if dtype in PRECISIONS:
        return dtype
    raise BadType(f"dtype is {dtype}; expected torch.float32 or torch.float64.")


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
