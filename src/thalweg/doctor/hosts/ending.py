"""What a callback does with its watch when the training is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thalweg.doctor.finding import Finding
from thalweg.doctor.watching.session import Watch
from thalweg.errors import BadValue

Say = Callable[[str], object]


class Ended:
    """The watch of a callback: ``watch`` is None until the training begins."""

    watch: Watch | None = None

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found so far, worst first. Raises BadValue before the training."""
        return self._begun().findings

    def report(self) -> str:
        """Return what was found so far in words. Raises BadValue before the training."""
        return self._begun().report()

    def _begun(self) -> Watch:
        if self.watch is None:
            raise BadValue(
                "nothing was trained with this callback yet; give it to the trainer in its list of "
                "callbacks, and train."
            )
        return self.watch

    def _end(self, say: Say | None, first: bool) -> None:
        """Close the watch, and let the *first* of all processes say what was found."""
        if self.watch is not None:
            self.watch.close()
            if say is not None and first:
                say(self.watch.report())
