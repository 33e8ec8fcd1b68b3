"""A transform is the other kind of piece in a chain: it changes what flows into or out of a rule.

What it acts on is the name of its first argument: the gradient ``g`` before the rule, the
``step`` after it, or the new parameter ``p_new``. Beside it, ``p`` is the parameter as it was
before the step, wherever the transform stands, and ``g`` the gradient that reached the rule.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from thalweg.algebra import Signature, parse
from thalweg.algebra.signature import FirstGradient
from thalweg.errors import BadType, BadValue
from thalweg.rules.rule import _look_up, first_line

SUBJECTS = ("g", "step", "p_new")


@dataclass(frozen=True, eq=False)
class Transform:
    """A pure function that acts on the gradient, the step or the new parameter of a rule."""

    key: str
    name: str
    compute: Callable[..., Any]
    signature: Signature
    paper: str = ""
    arxiv: str = ""
    summary: str = ""
    module: str = field(default="", repr=False)

    @property
    def subject(self) -> str:
        """What it acts on: ``g``, ``step`` or ``p_new``."""
        return self.signature.inputs[0]

    def __call__(self, *args: Any, **values: Any) -> Any:
        """Return the changed subject, then the new state, if it keeps any."""
        names = (*self.signature.inputs, *self.signature.slots)
        defaults = {each.name: each.default for each in self.signature.hyperparameters.values()}
        return self.compute(**{**defaults, **dict(zip(names, args, strict=False)), **values})

    def __reduce__(self) -> Any:
        if getattr(importlib.import_module(self.module), self.key, None) is not self:
            raise BadType(
                f"the transform {self.key!r} cannot be pickled: define it at the top level of a "
                "module, so that it can be found again by name."
            )
        return _look_up, (self.module, self.key)

    def __copy__(self) -> "Transform":
        return self

    def __deepcopy__(self, memo: dict) -> "Transform":
        return self


def transform(name: str, *, paper: str = "", arxiv: str = "") -> Callable[[Callable], Transform]:
    """Make a pure function a transform; the name of its first argument says what it acts on.

    It returns the changed subject, then the new state in order. A keyword argument without a
    default is a hyperparameter that another piece of the chain declares, such as ``lr``.
    """

    def decorate(function: Callable) -> Transform:
        signature = parse(function)
        if not signature.inputs or signature.inputs[0] not in SUBJECTS:
            raise BadType(
                f"{function.__name__}: a transform's first argument is one of "
                f"{', '.join(SUBJECTS)}, which says what it acts on."
            )
        if FirstGradient() in signature.slots.values() and signature.inputs[0] != "g":
            raise BadValue(
                f"{function.__name__}: a slot can begin as the first gradient only where gradients "
                f"pass, not in a transform of {signature.inputs[0]}. Begin it at a number."
            )
        for extra in signature.inputs[1:]:
            if extra not in ("p", "g"):
                raise BadType(
                    f"{function.__name__}: the input {extra!r} is not there for a transform of "
                    f"{signature.inputs[0]}; beside it only p, the parameter, and g, the gradient "
                    "that reached the rule, can be read."
                )
        return Transform(
            function.__name__, name, function, signature, paper, arxiv, first_line(function),
            function.__module__,
        )  # fmt: skip

    return decorate
