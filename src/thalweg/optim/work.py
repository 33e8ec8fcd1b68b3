"""What one optimizer has laid out for its kernels, and how it notices that this has changed."""

from collections.abc import Iterable
from itertools import chain
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg.kernels import launches
from thalweg.kernels.eager import EagerLaunch
from thalweg.kernels.plan import lower
from thalweg.kernels.table import Launch, Row
from thalweg.optim.state import OptimizerState, ParameterState, changes
from thalweg.rules import Rule

if TYPE_CHECKING:
    from thalweg.optim.driver import Driver, Group

Kind = tuple[Rule, bool]
"""What the rows of a launch share: their rule, and whether steps are differentiable."""


class Work:
    """The launches of one optimizer, and all that must not have changed for them to be right.

    Parameters are held to their address in memory at every step. State is watched by identity;
    of its addresses only those of the first and the last row are looked at, which notices storage
    that was moved for all (``share_memory_``, ``.data =`` in a loop) at no cost per parameter.
    """

    def __init__(self, driver: "Driver", kinds: list[Kind], rows: dict[Kind, list[Row]]) -> None:
        self.kinds = kinds
        self.parts = {kind: _launches(kind, part) for kind, part in rows.items()}
        self.launches = list(chain.from_iterable(self.parts.values()))
        table = [row for launch in self.launches for row in launch.rows]
        self.params = [row.parameter for row in table]
        taken = set(map(id, self.params))
        everything = chain.from_iterable(map(_parameters, driver.param_groups))
        self.waiting = [p for p in everything if id(p) not in taken]
        sample = chain.from_iterable(
            (*row.slots, *row.scalars) for row in (*table[:1], *table[-1:])
        )
        self.memory = [*self.params, *sample]
        self.addresses = list(map(_address, self.memory))
        self.groups = [list(group["params"]) for group in driver.param_groups]
        self.several = all(p.numel() > 1 for group in self.groups for p in group)
        self.state = list(_tensors_of(driver))
        self.looked_at, self.whole = _time(driver), driver.state
        self.keys = driver.settings_read()
        self.settings_of = itemgetter(*self.keys)
        self._read(driver)

    def _read(self, driver: "Driver") -> None:
        """Give every launch the hyperparameters of its groups; groups of other kinds get zeros."""
        groups = driver.param_groups
        self.settings = [self.settings_of(group) for group in groups]
        read = [group[key] for group in groups for key in self.keys]
        self.fixed = not any(isinstance(v, (Tensor, list)) for v in (*read, *_flat(read)))
        values = list(zip(map(driver.values_of, groups), self.kinds, strict=True))
        for kind, part in self.parts.items():
            none = [0.0] * len(kind[0].hyperparameters)
            for launch in part:
                launch.set_hypers([own if each == kind else none for own, each in values])

    def holds(self, driver: "Driver") -> bool:
        """Whether the layout still describes *driver*; new numbers are read on the way."""
        groups = driver.param_groups
        if not self._same_parameters(groups):
            return False
        changed = changes[0] != self.looked_at or driver.state is not self.whole
        if changed and not self._same_state(driver):
            return False
        if list(map(_address, self.memory)) != self.addresses:
            return False
        if self.waiting and any(p.grad is not None for p in self.waiting):
            return False
        if self.fixed and list(map(self.settings_of, groups)) == self.settings:
            return True
        if list(map(driver.kind_of, groups)) != self.kinds:
            return False
        self._read(driver)
        return True

    def _same_parameters(self, groups: "list[Group]") -> bool:
        """Whether every group lists the parameters it did.

        Comparing lists stops at identity, element by element, which is what is wanted and fast. A
        parameter that was exchanged is compared by value, and a value of several elements has no
        truth: that raises. Where some parameter has one element, identity is asked for instead.
        """
        now = list(map(_parameters, groups))
        if not self.several:
            flat = chain.from_iterable(now)
            return list(map(id, flat)) == list(map(id, chain.from_iterable(self.groups)))
        try:
            return now == self.groups
        except RuntimeError:
            return False

    def _same_state(self, driver: "Driver") -> bool:
        """Look at every piece of state, and remember when, unless some of it is not watched."""
        self.looked_at, self.whole = _time(driver), driver.state
        return all(map(is_, _tensors_of(driver), self.state))


def _launches(kind: Kind, rows: list[Row]) -> list[Launch]:
    rule, differentiable = kind
    if differentiable:
        return [EagerLaunch(lower(rule), rows, differentiable)]
    return launches(rule, rows)


_END = (object(),)
_address = torch._C.TensorBase.data_ptr
_parameters = itemgetter("params")


def _tensors_of(driver: "Driver") -> Iterable[Any]:
    """Yield every piece of state in order, and a mark at the end."""
    entries = driver.state.values()
    return chain(*(each.values() if isinstance(each, dict) else (each,) for each in entries), _END)


def _time(driver: "Driver") -> int:
    """Return the time of the clock of changes, or one that never comes if not all is watched."""
    kinds = {type(driver.state), *map(type, driver.state.values())}
    return changes[0] if kinds <= {OptimizerState, ParameterState} else -1


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        yield from value if isinstance(value, (tuple, list)) else (value,)
