"""Processes train together only where all of them were given the same to do."""

from __future__ import annotations

import json
from typing import Any

import torch

from thalweg.errors import BadValue
from thalweg.optim.optimizer import fingerprint
from thalweg.parallel.engine import Job
from thalweg.parallel.flat import Layout
from thalweg.parallel.group.group import Group


def check_agreement(group: Group, job: Job, form: str) -> None:
    """Raise BadValue in every process where one of them differs from the first."""
    texts = group.texts(json.dumps({**_description(job), "the form of training": form}))
    first, *others = map(json.loads, texts)
    for rank, other in enumerate(others, 1):
        _layout(first).check_same(_layout(other), f"rank {rank}")
        for name, value in first.items():
            if other[name] != value:
                raise BadValue(
                    f"{name}: {value} in the process of rank 0, {other[name]} in that of rank "
                    f"{rank}. Run the same script, with the same arguments, in every process."
                )


def _description(job: Job) -> dict[str, Any]:
    layout, batches = job.replica.layout, job.replica.batches
    serving = job.algorithm.serving(job.workers)
    buffers = job.replica.model.named_buffers()
    return {
        "parameters": list(zip(layout.names, layout.shapes, strict=True)),
        "dtype": str(layout.dtype).removeprefix("torch."),
        "buffers": [(name, str(b.dtype), tuple(b.shape)) for name, b in buffers],
        "the algorithm": [type(job.algorithm).__name__, _plain(vars(job.algorithm))],
        "the rule": [fingerprint(serving.rule), _plain(serving.hyper)],
        "examples": len(batches.examples),
        "batch": batches.size,
        "seed": batches.seed,
        "gradients": job.gradients,
        "gradients between reports": str(job.every),
    }


def _plain(settings: Any) -> dict[str, Any]:
    """Return settings as text can say them; of others only the kind."""
    simple = str | int | float | bool | None
    return {k: v if isinstance(v, simple) else type(v).__name__ for k, v in settings.items()}


def _layout(description: dict[str, Any]) -> Layout:
    names, shapes = zip(*description["parameters"], strict=True)
    return Layout(names, tuple(map(tuple, shapes)), getattr(torch, description["dtype"]))
