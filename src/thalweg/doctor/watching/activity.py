"""Which units of a layer were active when: one mask a probe, the oldest let go."""

from __future__ import annotations

from torch import Tensor

from thalweg.doctor.evidence import Units

KEPT = 64
"""How many masks are kept beside the first."""


class Activity:
    """The masks of active units of one layer, and of how many examples each is."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, int]] = []

    def add(self, active: Tensor, examples: int) -> None:
        """Add the mask of one probe."""
        if not self._seen or self._seen[0][0].shape == active.shape:
            self._seen.append((active, examples))
        if len(self._seen) > KEPT + 1:
            del self._seen[1]

    def units(self) -> Units:
        """Return what was active over the second half."""
        late = self._seen[len(self._seen) // 2 :]
        active = late[0][0]
        for mask, _ in late[1:]:
            active = active | mask
        begun = int(self._seen[0][0].sum()) if len(self._seen) > 1 else None
        examples = sum(count for _, count in late)
        return Units(active.numel(), int(active.sum()), examples, begun)
