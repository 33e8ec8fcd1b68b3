"""What is measured of one tensor: numbers that stay where it is, to be fetched together later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

SAMPLE = 65_536
"""Means, shares and histograms of a larger tensor are over this many of its elements, evenly."""

BINS = 32

FLAT: Mapping[type, Callable[[Tensor], Tensor]] = {
    nn.Tanh: lambda x: x.abs() > 0.99,
    nn.Softsign: lambda x: x.abs() > 0.99,
    nn.Sigmoid: lambda x: (x < 0.01) | (x > 0.99),
    nn.Softmax: lambda x: x > 0.99,
    nn.Hardtanh: lambda x: (x == x.min()) | (x == x.max()),
    nn.Hardsigmoid: lambda x: (x == 0) | (x == 1),
}
"""Which values lie at the flat ends of a function."""

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold, nn.RReLU, nn.Hardshrink, nn.Softshrink)
"""Activations whose output can be zero over a range of inputs."""


def sample(tensor: Tensor) -> Tensor:
    """Return evenly spaced elements of a tensor as numbers of single precision or more."""
    flat = tensor.detach().reshape(-1)
    flat = flat[:: -(-len(flat) // SAMPLE)] if len(flat) > SAMPLE else flat
    return flat if flat.dtype == torch.float64 else flat.float()


def layer(kind: type, training: bool, inputs: Any, output: Tensor) -> dict[str, Any]:
    """Return what is measured of the output of a *kind* of module, in `LayerProbe`'s fields."""
    values = sample(output)
    flat = FLAT.get(kind)
    numbers = values.nan_to_num(0.0, 0.0, 0.0)
    low, high = numbers.aminmax() if len(values) else (values.sum(), values.sum())
    return {
        "shape": tuple(output.shape),
        "training": training,
        "mean": values.mean(),
        "std": values.std(correction=0),
        "zeros": (values == 0).float().mean(),
        "finite": output.detach().isfinite().all(),
        "inputs_finite": all_finite(inputs),
        "saturated": None if flat is None else flat(values).float().mean(),
        "low": low,
        "high": high,
        "counts": torch.histc(numbers.float(), BINS) if values.device.type != "mps" else (),
    }


def positions(output: Tensor) -> int:
    """Return how often each unit was looked at: examples, times places in images or sequences."""
    return output.numel() // max(output.shape[unit_dimension(output)], 1)


def unit_dimension(output: Tensor) -> int:
    """Return which dimension counts units: the channels of images, the last one otherwise."""
    return 1 if output.ndim in (4, 5) else output.ndim - 1


def all_finite(inputs: Any) -> Tensor | bool:
    """Whether all floating-point tensors among the inputs of a module are finite."""
    floats = [each for each in inputs if isinstance(each, Tensor) and each.is_floating_point()]
    return (
        torch.stack([each.detach().isfinite().all() for each in floats]).all() if floats else True
    )


def active_units(output: Tensor) -> Tensor:
    """Return for each unit whether it was other than zero for some example of the batch."""
    dimension = unit_dimension(output)
    active = (output.detach() != 0).movedim(dimension, 0)
    return active.reshape(len(active), -1).any(1)


def weight(tensor: Tensor) -> dict[str, Any]:
    """Return what is measured of a parameter's value, in the fields of `ParameterProbe`."""
    value = tensor.detach()
    return {
        "weight": norm(value),
        "weight_zeros": (value == 0).float().mean(),
        "weight_finite": value.isfinite().all(),
    }


def gradient(slope: Tensor) -> dict[str, Any]:
    """Return what is measured of a parameter's gradient, in the fields of `ParameterProbe`."""
    slope = slope.detach()
    slope = slope.coalesce().values() if slope.is_sparse else slope
    return {
        "gradient": norm(slope),
        "zeros": (slope == 0).float().mean(),
        "finite": slope.isfinite().all(),
    }


def cosine(now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> Tensor:
    """Return the cosine between two gradients, each a tensor by parameter."""
    pairs = [(now[name].flatten().float(), before[name].flatten().float()) for name in now]
    along = torch.stack([a @ b for a, b in pairs]).sum()
    sizes = [torch.stack([norm(each[k]) for each in pairs]).norm() for k in (0, 1)]
    return along / (sizes[0] * sizes[1]).clamp(min=1e-30)


def norm(tensor: Tensor) -> Tensor:
    """Return the Euclidean norm, computed in single precision or more."""
    tensor = tensor.coalesce().values() if tensor.is_sparse else tensor
    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return torch.linalg.vector_norm(tensor, dtype=wide)


def update(tensor: Tensor, before: Tensor) -> dict[str, Any]:
    """Return what a step did to a parameter, in the fields of `ParameterProbe`."""
    change = tensor.detach() - before
    found: dict[str, Any] = {"update": norm(change)}
    if tensor.grad is not None and not tensor.grad.is_sparse:
        sloped = tensor.grad.detach() != 0
        count = sloped.sum()
        found["moved"] = ((change != 0) & sloped).sum() / count.clamp(min=1)
    return found


def distinct_rows(weight: Tensor) -> tuple[int, Tensor] | None:
    """Return how many units a weight has and how many have weights of their own."""
    if weight.ndim < 2 or weight.numel() > 4_000_000 or not weight.is_floating_point():
        return None
    rows = weight.detach().flatten(1).float()
    places = torch.arange(1, rows.shape[1] + 1, device=rows.device, dtype=torch.float32)
    marks = ((rows * torch.cos(places * 1.7)).sum(1)).sort().values
    near = 1e-6 * marks.abs().max()
    return len(marks), 1 + (marks.diff() > near).sum()
