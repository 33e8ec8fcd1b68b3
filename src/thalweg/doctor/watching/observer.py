"""What happens to one model and its optimizer is seen here, through hooks that change nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from inspect import signature
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import FailedProbe, OtherFacts, Probe
from thalweg.doctor.watching import taps, targets
from thalweg.doctor.watching.awaited import Awaited
from thalweg.doctor.watching.budget import Budget
from thalweg.doctor.watching.bystanders import Averages, Schedulers
from thalweg.doctor.watching.calls import Call, call_of
from thalweg.doctor.watching.hooks import WeakHook
from thalweg.doctor.watching.labels import Labels
from thalweg.doctor.watching.log import Log
from thalweg.doctor.watching.losses import Losses
from thalweg.doctor.watching.passes import Passes
from thalweg.doctor.watching.probe import Prober
from thalweg.doctor.watching.reach import Reach
from thalweg.doctor.watching.survey import unwrapped
from thalweg.doctor.watching.trouble import Trouble
from thalweg.training.evaluation import not_validating

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
        self._names = _names(loss_fn.forward) if isinstance(loss_fn, nn.Module) else ()
        plain = loss_fn if not isinstance(loss_fn, nn.Module) else None
        self._awaited = Awaited(plain, WeakHook(self._after_function)) if plain else None
        self._evaluating: Any = None

    def attach(self) -> None:
        """Begin to see."""
        self._handles.append(self.optimizer.register_step_post_hook(WeakHook(self._after_step)))
        if self.model._compiled_call_impl is None:
            begins = WeakHook(self._before_pass)
            self._handles.append(self.model.register_forward_pre_hook(begins, with_kwargs=True))
        if isinstance(self.loss_fn, nn.Module):
            hook = WeakHook(self._after_loss)
            self._handles.append(self.loss_fn.register_forward_hook(hook, with_kwargs=True))
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
        if self._awaited:
            self.attempt("closing", self._awaited.end)
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
            if self._awaited:
                self._awaited.end()
            self.passes.called(args, keywords)
            if self.prober.armed:
                self.prober.begin_pass((args, keywords))
        elif self.loss_fn is not None and not not_validating.get():
            self._see_evaluation()

    def _see_evaluation(self) -> None:
        """See what the model is about to return without a gradient: a loss may be called on it."""
        self.passes.evaluated = None
        if self._awaited:
            self._awaited.end_briefly()
        if self._evaluating is None:
            ends = WeakHook(self._after_evaluation)
            self._evaluating = self.model.register_forward_hook(ends)

    def _after_evaluation(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self.model:
            return
        self._evaluating.remove()
        self._evaluating = None
        if not torch.is_grad_enabled():
            self.passes.evaluated = output
            if self._awaited:
                self._awaited.begin_briefly()

    def _after_pass(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self.model:
            return
        self.prober.end_pass()
        if not torch.is_grad_enabled():
            return
        self.passes.returned(output)
        if self._awaited and (self.prober.armed or self.updates < AWAITED):
            self._awaited.begin()

    def _after_loss(self, module: nn.Module, args: Any, keywords: Any, output: Any) -> None:
        if not_validating.get():
            return
        values = (*args, *self._in_order(keywords)) if keywords else args
        tells = isinstance(output, Tensor)
        if output.requires_grad if tells else torch.is_grad_enabled():
            self._called(values, output, tells and output.numel() == 1)
        elif self.passes.evaluates(values[0] if values else None, sure=False):
            self.losses.tried(type(module).__name__, values, output, self.passes.training)

    def _after_function(self, values: tuple[Any, ...], output: Tensor) -> None:
        """The loss, a plain function, was heard to be called, as it is at times alone."""
        if not_validating.get() or not values or self._awaited is None:
            return
        if output.requires_grad:
            self._awaited.found()
            self._called(values, output, counts=False)
        elif self.passes.evaluated is not None and self.passes.evaluates(values[0], sure=True):
            self._awaited.found()
            self.losses.tried(type(self.loss_fn).__name__, values, output, self.passes.training)

    def _called(self, values: tuple[Any, ...], output: Any, counts: bool) -> None:
        """The loss was called with a gradient to train by; whether it *counts* as a number."""
        looked = self.passes.look(values[0]) if values and self._rare else None
        number = None
        if counts:
            number = output.item() if output.is_cpu else output.detach()
        self.losses.called(call_of(number, values, output, self.passes.current, looked))

    def _in_order(self, keywords: dict[str, Any]) -> Iterator[Any]:
        """Return arguments of the loss by name in the order in which it takes them."""
        known = [name for name in self._names if name in keywords]
        return map(keywords.__getitem__, dict.fromkeys((*known, *keywords)))

    def backward_begins(self, loss: Tensor, scale: Any) -> None:
        """See `taps.Listener`."""
        if self._awaited:
            self._awaited.end()
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
        self._rare.append(self.optimizer.register_step_pre_hook(WeakHook(self._before_step)))
        if self.model._compiled_call_impl is None:
            ends = WeakHook(self._after_pass)
            self._rare.append(self.model.register_forward_hook(ends, always_call=True))

    def _see_less(self) -> None:
        for handle in self._rare:
            handle.remove()
        self._rare.clear()


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function takes, none where they cannot be told."""
    try:
        return tuple(signature(function).parameters)
    except (TypeError, ValueError):
        return ()
