"""What was seen while the model was training: each step, each probe, each validation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Step:
    """One update of the optimizer, or an attempt that a scaler skipped.

    *number* counts updates from 1. *loss* is what the update follows the gradient of: the mean of
    what ``loss_fn`` returned since the last update, or without it the sum of what ``backward`` was
    called on, unscaled; None where it was not seen. *backwards* counts these calls (2 or more is
    gradient accumulation). *examples* is the length of the first dimension of the model's inputs,
    summed over them. *training* is the model's mode in the forward pass. *lrs* has one learning
    rate a group. *seconds* have passed since the last update.
    """

    number: int
    loss: float | None = None
    lrs: tuple[float, ...] = ()
    examples: int | None = None
    backwards: int = 1
    training: bool = True
    seconds: float | None = None
    skipped: bool = False


@dataclass(frozen=True)
class Validation:
    """One pass over held-out data: the mean loss of calls not trained by, after *step* updates.

    *accuracy* is the share of right classes, None where it could not be seen. *training* says
    whether the model was in training mode for some of it, *graded* whether gradients were on.
    """

    step: int
    loss: float
    examples: int | None = None
    accuracy: float | None = None
    training: bool = False
    graded: bool = False


@dataclass(frozen=True)
class ParameterProbe:
    """One parameter at one update: norms are Euclidean, shares are of its elements.

    *gradient* is the norm of its gradient as the optimizer got it (unscaled, clipped, summed over
    the accumulation), None where there is none; *zeros* the share of exactly zero entries in it.
    *weight* and *update* are the norms of the value before the update and of the change by it.
    *moved* is the share of the elements with a gradient that the update changed at all.
    *below_eps* is the share whose √v̂ is not above eps, None for rules without such a state.
    *rows* and *distinct* count the units (first dimension) and those with weights of their own.
    """

    gradient: float | None = None
    zeros: float = 0.0
    finite: bool = True
    weight: float = 0.0
    weight_zeros: float = 0.0
    weight_finite: bool = True
    update: float | None = None
    moved: float | None = None
    below_eps: float | None = None
    rows: int | None = None
    distinct: int | None = None


@dataclass(frozen=True, eq=False)
class LayerProbe:
    """What one leaf module put out in one forward pass (its first call in it).

    An activation that is called as a function is a layer as well, named after the layer before
    it: ``relu(fc1)``; the model's facts have it among the modules, of the family "activation".

    *mean* and *std* are over all elements, *zeros* is the share exactly zero. *saturated* is the
    share at the flat ends: of tanh beyond ±0.99, of sigmoid beyond 0.01 and 0.99, of a hard
    function beyond its ends, of softmax above 0.99, of the gates of a recurrent module's first
    layer as those of tanh and sigmoid; None for other modules. *silent* is the
    share of units that were zero for the whole batch, None unless it is an activation that can be
    zero. A unit is a channel of an image and an element of the last dimension otherwise.
    *gradient* is the norm of the loss's gradient with respect to this output, None where it was
    not seen. *edges* and *counts* are its histogram.
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    zeros: float = 0.0
    finite: bool = True
    inputs_finite: bool = True
    training: bool = True
    saturated: float | None = None
    silent: float | None = None
    gradient: float | None = None
    edges: Sequence[float] = ()
    counts: Sequence[int] = ()


@dataclass(frozen=True)
class Probe:
    """Everything of first order about one update: parameters and layers by name.

    *agreement* is the cosine between this gradient and that of the update before, where that was
    probed too. *leftover* is the norm of the gradients of the optimizer's own parameters that were
    there before a ``backward``, the smallest of all since the last update (0 where they had been
    cleared). *accuracy* is the share of right classes in the batch, as the model stood. Each is
    None where it was not seen.
    """

    step: int
    parameters: Mapping[str, ParameterProbe] = field(default_factory=dict)
    layers: Mapping[str, LayerProbe] = field(default_factory=dict)
    agreement: float | None = None
    leftover: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Units:
    """The units of an activation that can be zero, over the probes of the run's second half.

    *active* counts those that were not zero for some of the *examples*; *begun* those that were
    so at the first probe, None where that is the same probe.
    """

    units: int
    active: int
    examples: int
    begun: int | None = None


@dataclass(frozen=True, eq=False)
class Inputs:
    """The model's first floating-point input over all probed batches, feature by feature.

    A feature is a channel of images (4 dimensions) and an element of the last dimension otherwise.
    *names* say which; arrays are as long as it. *examples* counts rows (images, time steps).
    """

    names: Sequence[str]
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    examples: int


@dataclass(frozen=True)
class LabelBatch:
    """The targets of one training batch in its order: classes, or the values of a regression."""

    step: int
    classes: Sequence[int] = ()
    values: Sequence[float] = ()


@dataclass(frozen=True)
class NonFinite:
    """The first NaN or infinity: at which update, in what, and in which module or parameter.

    *what* is "loss", "gradient", "weight", "input" or "output" (of the module *where*, whose own
    inputs and weights were still finite). *kind* is the class of that module. *before* is the last
    finite loss.
    """

    step: int
    what: str
    where: str = ""
    kind: str = ""
    before: float | None = None


@dataclass(frozen=True)
class FailedProbe:
    """A probe that did not come to its end, and why. The training went on."""

    name: str
    reason: str

    @staticmethod
    def of(name: str, error: Exception) -> FailedProbe:
        """Return the probe that *error* ended, the kind of it in words: "zero division: …"."""
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
        told = f"{kind}: {error}" if str(error) else kind
        return FailedProbe(name, re.sub(r" ?\berrors?\b", "", told, flags=re.IGNORECASE).strip())
