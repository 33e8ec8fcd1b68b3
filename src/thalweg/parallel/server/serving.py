"""What a server is to do with pushes: the rule, its settings, and how old a gradient may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thalweg.rules import Rule


@dataclass(frozen=True)
class Serving:
    """How shards turn pushes into updates.

    Without *rounds* each push is one update. With them the server waits for a push of every worker
    that has joined, and makes one update of their *mean*, weighted, or else of their sum. Pushes
    measured more than *staleness* updates ago are refused; None lets any pass.
    """

    rule: Rule
    hyper: Mapping[str, Any] = field(default_factory=dict)
    rounds: bool = False
    mean: bool = True
    staleness: int | None = None
