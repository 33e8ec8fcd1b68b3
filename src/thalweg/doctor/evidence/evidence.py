"""All that was seen of one training, and the reasons for what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from thalweg.doctor.evidence.courses import Course, courses
from thalweg.doctor.evidence.curves import Curve
from thalweg.doctor.evidence.facts import (
    AverageFacts,
    ModelFacts,
    OptimizerFacts,
    OtherFacts,
    SchedulerFacts,
)
from thalweg.doctor.evidence.owed import (
    Curvature,
    GradientCheck,
    LossSlice,
    Neighbours,
    NoiseScale,
)
from thalweg.doctor.evidence.seen import (
    FailedProbe,
    Inputs,
    LabelBatch,
    NonFinite,
    Probe,
    Step,
    Units,
    Validation,
)

Kind = Literal[
    "settings", "losses", "gradients", "activations", "inputs", "labels", "validation",
    "schedulers", "averages", "curvature", "noise", "gradient check", "neighbours",
    "loss slice",
]  # fmt: skip

KINDS: Mapping[Kind, str] = {
    "settings": "the model's and the optimizer's settings",
    "losses": "the training loss and the learning rates at each update",
    "gradients": "norms of gradients, weights and updates at some updates",
    "activations": "what the layers put out at some updates",
    "inputs": "the model's inputs, feature by feature",
    "labels": "the classes of some training batches, in their order",
    "validation": "the loss on held-out data, called without gradient",
    "schedulers": "torch's schedulers on the optimizer, or schedules in it, and how far they went",
    "averages": "running averages of the model's weights",
    "curvature": "the loss's curvature at the end of the run",
    "noise": "the noise of the gradient at the end of the run",
    "gradient check": "the gradient against finite differences",
    "neighbours": "how often nearest neighbours share their class, and the others tell it",
    "loss slice": "the loss along two directions at the end of the run",
}
"""The kinds of evidence that a check can need, in words for its page."""

NOT_SEEN = "nothing of it was seen"
"""Why there is none of a kind where no other reason is known."""


@dataclass(frozen=True)
class Costs:
    """Seconds spent: by the run as a whole, by watching during it, and at its end."""

    run: float = 0.0
    watching: float = 0.0
    ending: float = 0.0

    @property
    def overhead(self) -> float:
        """Watching during the training as a share of the training alone."""
        alone = self.run - self.watching
        return self.watching / alone if alone > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that was seen of one training; everything may be left out.

    *units* has the activations that can be zero, by module, *others* the other optimizers that hold
    parameters of the model. *unavailable* has the reason for each
    kind of evidence that could not be had; *notes* say what else was not seen, and why. Long runs
    are thinned: numbers of steps have gaps.
    """

    model: ModelFacts = field(default_factory=ModelFacts)
    optimizer: OptimizerFacts = field(default_factory=OptimizerFacts)
    steps: Sequence[Step] = ()
    probes: Sequence[Probe] = ()
    units: Mapping[str, Units] = field(default_factory=dict)
    inputs: Inputs | None = None
    labels: Sequence[LabelBatch] = ()
    validations: Sequence[Validation] = ()
    nonfinite: NonFinite | None = None
    schedulers: Sequence[SchedulerFacts] = ()
    averages: Sequence[AverageFacts] = ()
    others: Sequence[OtherFacts] = ()
    curvature: Curvature | None = None
    noise: NoiseScale | None = None
    gradient_check: GradientCheck | None = None
    neighbours: Neighbours | None = None
    loss_slice: LossSlice | None = None
    unavailable: Mapping[Kind, str] = field(default_factory=dict)
    failed: Sequence[FailedProbe] = ()
    notes: Sequence[str] = ()
    costs: Costs = field(default_factory=Costs)

    @property
    def losses(self) -> Curve:
        """The training loss at each update at which it was seen."""
        seen = [(each.number, each.loss) for each in self.steps if each.loss is not None]
        return Curve.of((loss for _, loss in seen), (number for number, _ in seen))

    def lrs(self, group: int = 0) -> Curve:
        """Return the learning rate of a group at each update."""
        seen = [each for each in self.steps if len(each.lrs) > group]
        return Curve.of((each.lrs[group] for each in seen), (each.number for each in seen))

    @property
    def courses(self) -> list[Course]:
        """How far each schedule of the learning rate went."""
        return courses(self.schedulers, self.optimizer, self.steps)

    @property
    def validation(self) -> Curve:
        """The validation loss against the number of updates before it."""
        passes = self.validations
        return Curve.of((each.loss for each in passes), (each.step for each in passes))

    @property
    def updates(self) -> int:
        """How many updates were taken."""
        return self.steps[-1].number if self.steps else 0

    def lacks(self, kind: Kind) -> str | None:
        """Return why there is no evidence of a kind, None where there is."""
        if self._has(kind):
            return None
        return self.unavailable.get(kind, NOT_SEEN)

    def _has(self, kind: Kind) -> bool:
        match kind:
            case "settings":
                return bool(self.model.parameters and self.optimizer.groups)
            case "losses":
                return any(each.loss is not None for each in self.steps)
            case "gradients":
                return any(each.parameters for each in self.probes)
            case "activations":
                return any(each.layers for each in self.probes)
            case _:
                return bool(getattr(self, _FIELDS[kind]))


_FIELDS: Mapping[Kind, str] = {
    "inputs": "inputs",
    "labels": "labels",
    "validation": "validations",
    "schedulers": "courses",
    "averages": "averages",
    "curvature": "curvature",
    "noise": "noise",
    "gradient check": "gradient_check",
    "neighbours": "neighbours",
    "loss slice": "loss_slice",
}
