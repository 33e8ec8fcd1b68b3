"""What is known of the model, the optimizer and its schedulers without taking a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal[
    "linear", "convolution", "recurrent", "attention", "embedding", "normalization", "activation",
    "dropout", "loss", "other",
]  # fmt: skip


@dataclass(frozen=True)
class ParameterFacts:
    """A parameter of the model.

    *module* is the name of the module that owns it, *groups* are the numbers of the optimizer's
    groups it is in, twice the same number if it is twice in one. *also* are further names of the
    same tensor (tied weights).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    module: str = ""
    trainable: bool = True
    groups: tuple[int, ...] = (0,)
    also: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class ModuleFacts:
    """A module without children: its class, family, and settings that are numbers or truths.

    *settings* are its attributes as torch names them (``momentum``, ``eps``, ``p``,
    ``negative_slope``, ``track_running_stats``, ``in_features``), and of a batch norm with running
    statistics ``num_batches_tracked`` as at the beginning; *parameters* are full names.
    """

    name: str
    kind: str
    family: Family = "other"
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """The model: its class, and its parameters and leaf modules by name.

    *order* has the leaf modules in the order in which the first forward pass came through them,
    those never called left out; before a probe it is the order in which they were registered.
    *host* says how it is wrapped: "compiled", "parallel" or "".
    """

    kind: str = ""
    parameters: Mapping[str, ParameterFacts] = field(default_factory=dict)
    modules: Mapping[str, ModuleFacts] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    host: str = ""

    def of_family(self, *families: Family) -> list[ModuleFacts]:
        """Return the modules of some families in the order of the forward pass."""
        found = (self.modules[name] for name in self.order if name in self.modules)
        return [each for each in found if each.family in families]

    @property
    def weights(self) -> tuple[str, ...]:
        """The matrices and kernels that are trained, in the order of the forward pass."""
        modules = (self.modules[name] for name in self.order if name in self.modules)
        names = dict.fromkeys(name for each in modules for name in each.parameters)
        known = (self.parameters[name] for name in names if name in self.parameters)
        trained = (each for each in known if each.trainable and each.groups)
        return tuple(each.name for each in trained if len(each.shape) > 1)


@dataclass(frozen=True)
class GroupFacts:
    """A group of the optimizer: its settings as at the first step, and what it holds.

    *parameters* are names in the model; *strangers* counts tensors that the model does not have.
    *scheduled* has the hyperparameters that are thalweg schedules, each with its horizon or None.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    strangers: int = 0
    scheduled: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizerFacts:
    """The optimizer: its class, and its groups.

    *adaptive* says whether a step is divided by a running size of the gradient (Adam's family).
    *decay* is what ``weight_decay`` does: "l2" adds to the gradient, "decoupled" shrinks the
    weights beside the step, "" is unknown. *rule* is its name in small letters: "adamw", "sgd".
    """

    kind: str = ""
    groups: Sequence[GroupFacts] = ()
    adaptive: bool = False
    decay: Literal["l2", "decoupled", ""] = ""
    rule: str = ""


@dataclass(frozen=True)
class SchedulerFacts:
    """A scheduler of torch's on the optimizer: its class, settings, and where it stood when.

    *settings* are its attributes that are numbers or lists of numbers (``T_max``, ``total_steps``,
    ``step_size``, ``gamma``, ``milestones``, ``total_iters``), and the numbers bound in a partial
    ``lr_lambda``; *positions* are pairs of (updates taken, its ``last_epoch``), thinned, the last
    one at the end of the run. *parts* are the schedulers that it steps itself, in their order.
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    positions: Sequence[tuple[int, int]] = ()
    parts: Sequence[SchedulerFacts] = ()


@dataclass(frozen=True)
class OtherFacts:
    """Another optimizer that holds some parameters of the model: its class, and which.

    *stepped* says whether something wrote to one of them between two updates of this optimizer.
    """

    kind: str
    parameters: tuple[str, ...]
    stepped: bool = False


@dataclass(frozen=True)
class AverageFacts:
    """A running average of the model's weights (``AveragedModel``).

    *averaged* counts the averagings; *normalizations* are its batch norms that keep running
    statistics, and *reestimated* says whether these were computed anew on the averaged weights.
    *equal* says whether its weights and buffers are those of the model itself.
    """

    averaged: int
    normalizations: tuple[str, ...] = ()
    reestimated: bool = False
    equal: bool = False
