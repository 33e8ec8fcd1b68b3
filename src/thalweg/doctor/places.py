"""Where in a network something stands: its matrices, and the layers before and after another."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.doctor.evidence import Evidence, ModuleFacts

MATRICES = ("linear", "convolution", "recurrent", "attention")
"""Families of modules that multiply by a matrix, which an embedding does not."""


def matrices(seen: Evidence) -> list[str]:
    """Return the names of the trained matrices and kernels, those of embeddings left out."""
    looked_up = {name for each in seen.model.of_family("embedding") for name in each.parameters}
    return [name for name in seen.model.weights if name not in looked_up]


def weighted(seen: Evidence) -> list[ModuleFacts]:
    """Return the modules that have such matrices, in the order of the forward pass."""
    known = {*matrices(seen)}
    ordered = (seen.model.modules.get(name) for name in seen.model.order)
    return [each for each in ordered if each is not None and known & {*each.parameters}]


def before(seen: Evidence, name: str) -> ModuleFacts | None:
    """Return the last module with a matrix before the layer *name*, None where there is none."""
    earlier = {*_until(seen, name)}
    return next((each for each in reversed(weighted(seen)) if each.name in earlier), None)


def is_last(seen: Evidence, name: str) -> bool:
    """Whether no module with a matrix comes after the layer *name*: it is part of the output."""
    earlier = {*_until(seen, name), name}
    return all(each.name in earlier for each in weighted(seen))


def _until(seen: Evidence, name: str) -> Sequence[str]:
    order = seen.model.order
    return order[: order.index(name)] if name in order else ()


def initialized(seen: Evidence, names: Sequence[str]) -> str:
    """Return how weights of some *names* are initialized, by the activations of the model."""
    kinds = {each.kind for each in seen.model.of_family("activation")}
    if kinds & {"ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "ELU", "Mish"}:
        call = "nn.init.kaiming_normal_({})"
    elif "Tanh" in kinds:
        call = "nn.init.xavier_normal_({}, gain=5 / 3)"
    else:
        call = "nn.init.xavier_normal_({})"
    return call.format(names[0]) + (f", and so {len(names) - 1} more" if len(names) > 1 else "")


def batch_norms(seen: Evidence) -> list[ModuleFacts]:
    """Return the batch norms that keep running statistics, each over one process's batches."""
    norms = seen.model.of_family("normalization")
    return [each for each in norms if each.kind.startswith("BatchNorm") and _keeps(each)]


def _keeps(norm: ModuleFacts) -> bool:
    return bool(norm.settings.get("track_running_stats", True))
