"""The first gradients are the least reliable: full steps along them can throw a run off."""

from collections.abc import Iterator

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, SchedulerFacts
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.signs import largest_lrs, replaced

NORMS = ("LayerNorm", "RMSNorm")
"""The normalizations of models with attention, whose attention may be a function."""


@check(
    code="GD407",
    name="warm-up skipped",
    finds="""A warm-up that is in the schedule but not in the learning rates, for the first update
        was already at the full rate, as where its line ends where it begins; or a model with
        attention under an adaptive rule that began at the full rate and was thrown off: its loss
        jumped up at once, or never fell below what guessing gives.""",
    why="""At the beginning the running mean of squares rests on a few gradients, and the layers
        before a late normalization get the largest ones. Steps at the full rate then carry the
        weights to where attention is saturated, and the run takes long to come back, or does not.
    """,
    fix="""Let the rate rise in a straight line over the first hundreds of updates, some per cent of
        the run: `LinearLR(optimizer, start_factor=0.01, total_iters=…)` before the schedule proper
        in a `SequentialLR`. A resumed scheduler needs its own state: `load_state_dict`. Layer
        normalization before the attention, not after it, needs less of it.""",
    reference="""Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762, section 5.3;
        Liu et al. 2020, On the variance of the adaptive learning rate and beyond,
        arXiv:1908.03265; Xiong et al. 2020, On layer normalization in the transformer architecture,
        arXiv:2002.04745""",
    needs=("settings", "losses"),
    glances=("schedulers", "gradients", "labels", "curvature"),
    explains=("GD202", "GD204", "GD205", "GD206", "GD302", "GD303"),
)
def warm_up_skipped(
    seen: Evidence, *, full: float = 0.9, jump: float = 1.25, moved: float = 0.03,
    learned: float = 0.95, lost: float = 1.5, least: int = 30, forgets: float = 0.25,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the first update was at the share *full* of the largest rate.

    Without a warm-up in the schedule, one of at least *least* updates must have been thrown off:
    the loss jumped to *jump* times its first value and came down below that again, which is a
    warning; or the first update changed weights by the share *moved* and the last losses are
    between the shares *learned* and *lost* of what knowing the frequencies of classes gives, which
    is an error. A loss above that never came back: it is the rate, and not the first updates. So is
    it where each of the updates that were looked at *forgets* this share of most matrices.
    """
    rates = largest_lrs(seen)
    if len(rates) < least or rates[0] < full * rates.max() or not rates.max() > 0:
        return
    planned = max((_planned(each) for each in seen.schedulers), default=0)
    level = max((_level(each) for each in seen.schedulers), default=0)
    if planned > 1:
        yield _skipped(planned, float(rates[0]))
    elif level > 1:
        yield _levelled(level, float(rates[0]))
    elif _sensitive(seen) and _steady(seen, float(rates[-1])) and replaced(seen) < forgets:
        jumped, share = _jump(seen), _first_change(seen)
        stuck = share >= moved and learned < _kept(seen) <= lost
        if jumped >= jump or stuck:
            yield _thrown(seen, (jumped, share), float(rates[0]), "error" if stuck else "warning")


def _planned(facts: SchedulerFacts) -> int:
    """Return how many steps of warm-up a schedule has."""
    inside = max((_planned(each) for each in facts.parts), default=0)
    named = facts.settings.get("num_warmup_steps", 0)
    rising = facts.settings.get("start_factor", 1.0) < facts.settings.get("end_factor", 1.0)
    return max(inside, int(named), int(facts.settings.get("total_iters", 0)) if rising else 0)


def _level(facts: SchedulerFacts) -> int:
    """Return how long a line is that comes first and ends where it begins."""
    first = facts.parts[0] if facts.parts else facts
    if first.kind != "LinearLR":
        return 0
    ends = first.settings.get("start_factor"), first.settings.get("end_factor")
    return int(first.settings["total_iters"]) if ends[0] == ends[1] else 0


def _jump(seen: Evidence, early: float = 0.1, examples: int = 64) -> float:
    """Return the highest of the first losses as a multiple of the very first.

    It is a median over so many *examples*, and 0 where the run did not come down from it.
    """
    losses = seen.losses.finite.values
    sizes = [each.examples for each in seen.steps if each.examples]
    width = max(3, -(-examples // max(sizes, default=examples)))
    first = losses[: 1 + max(10, width, round(early * len(losses)))]
    begun = max(float(first[0]), _entropy(seen)) if len(first) > width else 0.0
    if begun <= 0:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(first[1:], width)
    peak = float(np.median(windows, axis=1).max())
    back = seen.losses.finite.tail(0.1).medians(1)[0] < min(peak / 1.2, begun)
    return peak / begun if back else 0.0


def _kept(seen: Evidence) -> float:
    """Return the last losses as a multiple of what frequencies alone give, or of the very first."""
    losses = seen.losses.finite
    begun = _entropy(seen) or (float(losses.values[0]) if len(losses) else 0.0)
    return losses.tail(0.1).medians(1)[0] / begun if begun > 0 and len(losses) else 0.0


def _entropy(seen: Evidence) -> float:
    """Return the loss of one who knows no more than how frequent the classes are."""
    classes = [one for each in seen.labels for one in each.classes]
    shares = np.unique(classes, return_counts=True)[1] / max(len(classes), 1)
    return float(-(shares * np.log(shares)).sum())


def _first_change(seen: Evidence) -> float:
    """Return by what share of its norm the first update changed the median weight."""
    first = next((each for each in seen.probes if each.step == 1), None)
    found = [first.parameters.get(name) for name in seen.model.weights] if first else []
    shares = [each.update / each.weight for each in found if each and each.update and each.weight]
    return float(np.median(shares)) if shares else 0.0


def _sensitive(seen: Evidence) -> bool:
    """Whether it is attention, or layers each with a normalization, under an adaptive rule."""
    norms = [each for each in seen.model.of_family("normalization") if each.kind in NORMS]
    attention = seen.model.of_family("attention")
    return seen.optimizer.adaptive and (bool(attention) or len(norms) > 1)


def _steady(seen: Evidence, rate: float) -> bool:
    """Whether the rate is stable where the run ended, so that only its beginning was too steep."""
    return seen.curvature is None or rate <= 1.5 * seen.curvature.stable_lr[1]


def _skipped(planned: int, rate: float) -> Finding:
    told = f"The schedule has a warm-up of {planned:,} steps, but"
    remedy = "last_epoch → -1, or the state of the run that goes on: scheduler.load_state_dict(…)"
    return _at_full_rate(told, remedy, planned, rate)


def _levelled(length: int, rate: float) -> Finding:
    told = f"The schedule begins with a LinearLR over {length:,} steps that ends where it begins:"
    remedy = "LinearLR(start_factor=1.0) → LinearLR(start_factor=0.01)"
    return _at_full_rate(told, remedy, length, rate)


def _at_full_rate(plan: str, remedy: str, planned: int, rate: float) -> Finding:
    told = f"{plan} the first update was already at lr={short(rate)}, the full rate."
    return Finding("warning", 0.9, told, remedy, {"planned": planned, "lr": rate}, step=1)


def _thrown(seen: Evidence, signs: tuple[float, float], rate: float, severity: Severity) -> Finding:
    steps, (jumped, share) = max(10, round(0.05 * seen.updates)), signs
    what = [f"drove the loss to {short(jumped)} times its first value"] if jumped > 1 else []
    what += [f"changed weights by {share:.0%} at once"] if share else []
    what += ["left the loss where guessing has it"] if severity == "error" else []
    told = f"The first updates, at the full lr={short(rate)}, {', and '.join(what)}."
    remedy = f"LinearLR(optimizer, start_factor=0.01, total_iters={steps}) before the rest"
    numbers = {"jump": jumped, "moved": share, "lr": rate}
    return Finding(severity, 0.7, told, remedy, numbers, step=1)
