"""Everything thalweg refuses, it refuses with one of these, before anything has changed.

ThalwegError
├── UnknownName     (also ValueError)
├── BadValue        (also ValueError)
├── NoRate          (also ValueError)
├── BadType         (also TypeError)
├── BadFile         (also OSError)
├── MissingPackage  (also ImportError)
├── WorkerDied      (also RuntimeError)
└── TracedBranch    (also TypeError)
"""

import difflib
from collections.abc import Iterable


class ThalwegError(Exception):
    """The root of every error thalweg raises on purpose."""


class UnknownName(ThalwegError, ValueError):
    """A rule, problem, hyperparameter or other name that does not exist."""


class BadValue(ThalwegError, ValueError):
    """A value of the right type outside what is legal."""


class NoRate(ThalwegError, ValueError):
    """No learning rate lowers the loss: what is wrong is something else."""


class BadType(ThalwegError, TypeError):
    """A value of a type that cannot be used here."""


class BadFile(ThalwegError, OSError):
    """A file that is missing, unreadable or not what it should be."""


class MissingPackage(ThalwegError, ImportError):
    """A package that only one feature needs, and that is not installed."""


class WorkerDied(ThalwegError, RuntimeError):
    """A process that did a part of the work ended before it was done."""


class TracedBranch(ThalwegError, TypeError):
    """Python control flow on a value that is only known when the rule runs."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'adam'?`` for the closest known name, or an empty string."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
