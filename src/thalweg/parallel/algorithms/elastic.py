"""Elastic averaging: workers walk by themselves, and springs tie them to a centre.

Zhang, Choromanska & LeCun 2015, Deep learning with elastic averaging SGD.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.parallel.algorithms.algorithm import Algorithm, Gradient, Pull, Push, Script, Seat
from thalweg.parallel.algorithms.walker import Walker
from thalweg.parallel.server.serving import Serving
from thalweg.rules import momentum_paper, sgd


@dataclass(frozen=True)
class Elastic(Algorithm):
    """EASGD, and EAMSGD where there is *momentum*: the server's parameters are the centre.

    At every *period*-th gradient a worker at x and the centre c move towards each other by *alpha*
    times x - c, while the worker also steps down its gradient at the old x. By default alpha is
    *beta* over the number of workers. *lr* is that of each worker and is not divided. With
    *synchronous* all workers meet the centre at once, which then moves by the sum of them.

    With momentum the gradient is taken where the velocity leads, as Nesterov does.
    """

    compressible: ClassVar[bool] = False

    lr: float = 1e-2
    momentum: float = 0.0
    period: int = 4
    alpha: float | None = None
    beta: float = 0.9
    synchronous: bool = False

    def __post_init__(self) -> None:
        check_number("lr", self.lr, 0)
        check_number("momentum", self.momentum, 0, 1)
        check_number("beta", self.beta, 0)
        check_count("period", self.period)
        if self.alpha is not None:
            check_number("alpha", self.alpha, 0)

    def serving(self, workers: int) -> Serving:
        """Return plain sums: what is pushed is how the centre moves, turned around."""
        return Serving(sgd, {"lr": 1.0}, rounds=self.synchronous, mean=False)

    def script(self, seat: Seat) -> Script:
        """Walk, and at every period-th gradient exchange with the centre, both at their old places.

        The gradient comes first, so that it is the one at the old place.
        """
        alpha = self.beta / seat.workers if self.alpha is None else self.alpha
        reading = yield Pull()
        here = self._walker(seat, reading.values)
        since = None
        for step in count():
            found = yield Gradient(self._looked_at(here))
            if found is None:
                return
            pull = None
            if step % self.period == 0:
                reading = yield Pull(since)
                pull = alpha * (here.x - reading.values)
                yield Push(-pull, reading.versions)
                since = reading.versions if self.synchronous else None
            here.step(found.gradient)
            if pull is not None:
                here.x -= pull

    def _walker(self, seat: Seat, values: Tensor) -> Walker:
        if not self.momentum:
            return Walker(seat.layout, values, sgd, {"lr": self.lr})
        hyper = {"lr": self.lr, "momentum": self.momentum}
        return Walker(seat.layout, values, momentum_paper, hyper)

    def _looked_at(self, here: Walker) -> Tensor:
        """Return where the gradient is to be taken."""
        velocity = here.slot("momentum_buffer") if self.momentum else None
        return here.x.clone() if velocity is None else here.x - self.momentum * velocity
