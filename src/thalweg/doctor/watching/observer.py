"""What happens to one model and its optimizer is seen here, through hooks that change nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import FailedProbe, OtherFacts, Probe
from thalweg.doctor.watching import taps, targets
from thalweg.doctor.watching.budget import Budget
from thalweg.doctor.watching.bystanders import Averages, Schedulers
from thalweg.doctor.watching.calls import Call
from thalweg.doctor.watching.ear import Ear
from thalweg.doctor.watching.hooks import WeakHook
from thalweg.doctor.watching.labels import Labels
from thalweg.doctor.watching.log import Log
from thalweg.doctor.watching.losses import Losses
from thalweg.doctor.watching.passes import Passes
from thalweg.doctor.watching.probe import Prober
from thalweg.doctor.watching.reach import Reach
from thalweg.doctor.watching.survey import unwrapped
from thalweg.doctor.watching.trouble import Trouble

KEPT = 256
"""How many probes are kept; when there are more, every second is let go, but not the first."""

AWAITED = 16
"""So many first updates are seen whole: outputs, closures, losses that are plain functions."""


class Observer:
    """Keeps the log of a training, its losses, probes and batches, while it is attached.

    ``updates`` were taken; ``begun`` and ``last`` are when it began and when the last ended, and
    ``watching`` the seconds between that went into watching. Of the doctor's own work it
    sees nothing.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer,
        loss_fn: Callable[..., Any] | None, share: float,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.inner, self.host = unwrapped(model)
        self.log, self.losses = Log(), Losses()
        self.passes = Passes(_device(self.inner), loss_fn is not None)
        self.prober = Prober(self.inner, optimizer, blind=self.host == "compiled")
        self.trouble = Trouble(self.inner)
        self.schedulers, self.averages = Schedulers(optimizer), Averages()
        self.others: list[OtherFacts] = []
        self.probes: list[Probe] = []
        self.labels = Labels()
        self.failed: dict[str, FailedProbe] = {}
        self.ear = Ear(model, loss_fn, self.passes, self.losses, self.failed)
        self.updates, self.watching = 0, 0.0
        self.begun = self.last = perf_counter()
        self._budget = Budget(share)
        self._examples = self._looked_at = 0
        self._handles: list[Any] = []
        self._rare: list[Any] = []
        self._closes = False
        self._reach = Reach(optimizer)
        self._resting, self._look_at_labels = 0.0, True
        self._kept_by_graph: tuple[Any, Any, str] = (None, None, "")

    def attach(self) -> None:
        """Begin to see."""
        self._handles.append(self.optimizer.register_step_post_hook(WeakHook(self._after_step)))
        if self.model._compiled_call_impl is None:
            begins = WeakHook(self._before_pass)
            self._handles.append(self.model.register_forward_pre_hook(begins, with_kwargs=True))
        self._handles += self.ear.attach()
        taps.listen(self)
        weakref.finalize(self, self.prober.layers.disarm).atexit = False
        self._plan(perf_counter())

    def detach(self) -> None:
        """See nothing from now on."""
        self.look_around()
        handles = [*self._handles, *self._rare]
        self._handles.clear()
        self._rare.clear()
        for handle in handles:
            self.attempt("closing", handle.remove)
        self.attempt("closing", self.ear.end)
        self.attempt("closing", taps.leave, self)
        self.attempt("closing", self.prober.disarm)

    def attempt(self, name: str, work: Callable[..., Any], *args: Any) -> Any:
        """Return ``work(*args)``; where it fails, take that in as a failed probe, return None."""
        try:
            return work(*args)
        except Exception as error:
            self.fail(name, error)

    def look_around(self) -> None:
        """Look for schedulers and for other optimizers, once after the newest update."""
        if self._looked_at < self.updates:
            self._looked_at = self.updates
            self.attempt("schedulers and other optimizers", self._search)

    def _search(self) -> None:
        self.schedulers.search()
        names = {id(p): name for name, p in self.inner.named_parameters()}
        self.others = self.schedulers.beside(names, self.prober.written)

    @property
    def attached(self) -> bool:
        """Whether it sees what happens."""
        return bool(self._handles)

    @property
    def rank(self) -> int:
        """The number of this process among those that train the model together."""
        together = isinstance(self.model, nn.parallel.DistributedDataParallel)
        return torch.distributed.get_rank() if together else 0

    def fail(self, name: str, error: Exception) -> None:
        """Take in that a probe went wrong; the training goes on."""
        self.failed.setdefault(name, FailedProbe.of(name, error))

    def _before_pass(self, module: nn.Module, args: Any, keywords: dict[str, Any]) -> None:
        if module is not self.model:
            return
        self.passes.training = module.training
        if torch.is_grad_enabled():
            self.ear.end()
            self.passes.called(args, keywords)
            if self.prober.armed:
                self.prober.begin_pass((args, keywords))
        else:
            self.ear.evaluation_begins()

    def _after_pass(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self.model:
            return
        self.prober.end_pass()
        if not torch.is_grad_enabled():
            return
        self.passes.returned(output)
        if self.prober.armed or self.updates < AWAITED:
            self.ear.begin()

    def backward_begins(self, loss: Tensor, scale: Any) -> None:
        """See `taps.Listener`."""
        self.ear.end()
        self.losses.offered(loss)
        self._reach.begin()
        if self.losses.backwards and not self.losses.closing and self._reach.cleared:
            self._begin_anew()
        armed = self.prober.armed
        if armed:
            self.prober.before_backward(scale, not self.losses.backwards)
        self._look_at_labels = armed or self.updates >= self.labels.due
        if self._look_at_labels:
            self._kept_by_graph = (None, None, "")
            if not any(each.rest for each in self.losses.newest):
                self._kept_by_graph = self.prober.timed(targets.saved, loss) or (None, None, "")

    def _begin_anew(self) -> None:
        """Gradients were cleared since the last one: nothing is trained by the losses so far."""
        self.losses.begin_anew()
        self.passes.forget(self.updates + 1)
        self.labels.forget(self.updates + 1)
        self._examples = 0

    def backward_ended(self, loss: Tensor) -> None:
        """See `taps.Listener`: the loss is one of this model if one of its gradients changed."""
        if not self._reach.reached():
            self.passes.shared |= self.losses.refused(loss)
            return
        self._accept()

    def _accept(self) -> None:
        """Take in that the next update will follow the loss that was offered."""
        first, step = not self.losses.backwards, self.updates + 1
        number = self.losses.accepted()
        if self.losses.newest:
            self._scored(self.losses.newest[-1])
        else:
            self.passes.resume()
        current = self.passes.current
        if not current.step:
            self._examples += self.passes.trained(step)
        self.trouble.loss(step, number, current)
        if self._look_at_labels:
            if first:
                self._look_at_targets(step)
            self.prober.layers.settle()

    def _scored(self, call: Call) -> None:
        """A gradient was computed of what a call of the loss returned."""
        if call.on is None or not call.rest:
            return
        self.passes.scored(call.on, call.scores, call.rest, call.looked)
        if self.prober.armed and call.looked is not None:
            kind = type(self.loss_fn).__name__
            self.prober.look_at_accuracy(call.looked.scores, call.rest[0], kind)

    def _look_at_targets(self, step: int) -> None:
        scores, found, kind = self._kept_by_graph
        self._kept_by_graph = (None, None, "")
        if self.prober.armed and scores is not None:
            self.prober.look_at_accuracy(scores, found, kind)
        if self.passes.current.complete:
            found, kind = targets.of_calls(self.losses.newest), type(self.loss_fn).__name__
        if self.prober.armed or step == 1:
            self.prober.timed(self.passes.look_at_modes, self.inner)
        self.labels.add(self.prober.timed(targets.label_batch, step, found, kind), self.updates)

    def update_skipped(self, optimizer: Any) -> None:
        """See `taps.Listener`."""
        if optimizer is self.optimizer:
            self._record(perf_counter(), self.updates, skipped=True)
            self.prober.again()

    def averaged(self, average: nn.Module, model: nn.Module) -> None:
        """See `taps.Listener`."""
        if unwrapped(model)[0] is self.inner:
            self.averages.averaged(average)

    def _before_step(self, optimizer: Any, args: Any, keywords: Any) -> None:
        if len(args) > 1 or keywords:
            self.losses.closing = any(map(callable, (*args[1:], *keywords.values())))
            self._closes = self._closes or self.losses.closing
        if self.prober.armed:
            self.prober.before_step(self.losses.closing)

    def _after_step(self, optimizer: Any, *_: Any) -> None:
        begun = perf_counter()
        if not (self.losses.backwards or self.passes.shared) and self.losses.offer_newest():
            self._accept()
        before = self.updates
        self.updates = before + 1
        if not self.losses.closing and not hasattr(optimizer, "found_inf"):
            self.trouble.gradient(self.updates)
        self._record(begun, before, skipped=False)
        now = perf_counter()
        self.watching += now - begun
        if self.prober.armed:
            self._finish_probe()
        if now >= self._resting:
            self._plan(perf_counter())

    def _record(self, now: float, before: int, skipped: bool) -> None:
        loss, backwards = self.losses.taken(before)
        groups = self.optimizer.param_groups
        rates = tuple([float(group["lr"]) for group in groups if "lr" in group])
        training, examples = self.passes.current.training, self._examples or None
        seconds, self.last, self._examples = now - self.last, now, 0
        row = [self.updates, loss, rates, examples, backwards, training, seconds, skipped]
        self.log.add(row)
        if self.schedulers.found or self.schedulers.rates != rates:
            self.schedulers.look(self.updates, rates)

    def _finish_probe(self) -> None:
        probe, timed = self.prober.after_step(self.updates), self.prober.timed
        if timed.failure is not None:
            self.fail("first order", timed.failure)
        elif probe is not None:
            self.probes.append(probe)
            if not all(each.finite for each in probe.parameters.values()):
                self.trouble.all_gradients(self.updates)
        self._thin(self.probes)
        self.watching += timed.seconds
        self._budget.spent(timed.seconds)
        self.prober.disarm()

    def _thin(self, kept: list[Any]) -> None:
        if len(kept) > KEPT:
            kept[1:-1] = kept[1:-1:2]

    def _plan(self, now: float) -> None:
        """Let the next update be probed if it can be afforded, and seen whole if it is to be.

        Where it is not, nothing is planned until a probe can be afforded again.
        """
        wait = self._budget.wait(now - self.begun, self.watching)
        if wait <= 0:
            self.prober.arm()
        else:
            self.prober.rest()
        early = self.updates < AWAITED or self._closes
        if early or self.prober.armed or self.passes.wants_output:
            self._see_more()
        else:
            self._see_less()
            self._resting = now + wait

    def _see_more(self) -> None:
        """Hook what is not looked at for most updates: no hook is free."""
        if self._rare:
            return
        self.ear.closely = True
        self._rare.append(self.optimizer.register_step_pre_hook(WeakHook(self._before_step)))
        if self.model._compiled_call_impl is None:
            ends = WeakHook(self._after_pass)
            self._rare.append(self.model.register_forward_hook(ends, always_call=True))

    def _see_less(self) -> None:
        for handle in self._rare:
            handle.remove()
        self._rare.clear()
        self.ear.closely = False


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
