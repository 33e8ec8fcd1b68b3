"""Batch norm in the wrong mode normalizes by the statistics of something else."""

from collections.abc import Iterator, Sequence

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ModuleFacts
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.places import batch_norms
from thalweg.doctor.signs import updates


@check(
    code="GD307",
    name="batch norm in the wrong mode",
    finds="""Batch norms in evaluation mode while the rest of the model trains, whose running
        statistics were never estimated or do not fit; batch norms in training mode while the loss
        on held-out data is computed; and running statistics that hardly moved from where they
        began.""",
    why="""In evaluation mode batch norm subtracts and divides by running statistics. Where these
        are still zero and one, nothing is normalized. In training mode it uses those of the batch,
        and changes the running ones: a validation in that mode depends on which examples come
        together, and lets held-out data into the model.""",
    fix="""Call `model.train()` before training and `model.eval()` before validation. Freeze batch
        norms only with statistics of data that is like the training data, and leave `momentum` at
        0.1, the share of the new batch (not of the old statistics, as elsewhere).""",
    reference="""Ioffe & Szegedy 2015, Batch normalization, arXiv:1502.03167, section 3.1; Wu &
        Johnson 2021, Rethinking "batch" in batch normalization, arXiv:2105.07576""",
    needs=("settings",),
    glances=("activations", "validation", "losses"),
    explains=("GD201", "GD206", "GD209", "GD303", "GD304", "GD309", "GD504"),
)
def wrong_mode(
    seen: Evidence, *, off: float = 2.0, often: float = 0.5, left: float = 0.5, least: int = 10
) -> Iterator[Finding]:
    """Yield one finding for frozen norms, for validation in training mode, for idle statistics.

    A spread may be *off* times what it should be. Statistics are idle that still hold the share
    *left* of their first values after *least* updates.
    """
    norms = batch_norms(seen)
    frozen = [each for each in norms if _frozen(seen, each)]
    wrong = [each for each in frozen if _never(each) or _spread(seen, each) > off]
    if wrong:
        yield _of_frozen(seen, wrong, off)
    passes = [each.training for each in seen.validations]
    moving = [each for each in norms if each not in frozen]
    if moving and passes and sum(passes) >= often * len(passes):
        yield _of_validation(moving[0], sum(passes), len(passes))
    idle = [each for each in moving if _never(each) and _left(each, seen.updates) >= left]
    if idle and seen.updates >= least:
        yield _of_idle(idle[0], _left(idle[0], seen.updates), seen.updates)


def _frozen(seen: Evidence, norm: ModuleFacts) -> bool:
    """Whether it was in evaluation mode at every update that was looked at, the model not."""
    modes = {each.number: each.training for each in seen.steps}
    found = [each for each in updates(seen) if norm.name in each.layers and modes.get(each.step)]
    return bool(found) and not any(each.layers[norm.name].training for each in found)


def _never(norm: ModuleFacts) -> bool:
    """Whether its running statistics had not been estimated when the run began."""
    return norm.settings.get("num_batches_tracked") == 0


def _spread(seen: Evidence, norm: ModuleFacts) -> float:
    """Return by which factor the spread it puts out at first is off that of its weight."""
    probe = next(each for each in seen.probes if norm.name in each.layers)
    weight = probe.parameters.get(f"{norm.name}.weight")
    count = seen.model.parameters[f"{norm.name}.weight"].elements if weight else 1
    expected = weight.weight / count**0.5 if weight else 1.0
    found = probe.layers[norm.name].std
    return max(found / expected, expected / found) if found and expected else 1.0


def _left(norm: ModuleFacts, updates: int) -> float:
    """Return which share of the first running statistics is left after so many updates."""
    momentum = norm.settings.get("momentum")
    return 0.0 if momentum is None else max(0.0, 1 - momentum) ** updates


def _of_frozen(seen: Evidence, wrong: Sequence[ModuleFacts], off: float) -> Finding:
    factor = max(_spread(seen, each) for each in wrong)
    never = sum(map(_never, wrong))
    told = (
        f"{len(wrong)} batch norms were in evaluation mode while the model trained; {never} had "
        f"never estimated their statistics, and a spread is {short(factor)} times off."
    )
    severity: Severity = "error" if factor > off else "warning"
    numbers = {"frozen": len(wrong), "never": never, "off": factor}
    remedy = f"{wrong[0].name}.eval() → {wrong[0].name}.train()"
    return Finding(severity, 0.95, told, remedy, numbers, wrong[0].name)


def _of_validation(norm: ModuleFacts, training: int, passes: int) -> Finding:
    told = (
        f"The model was in training mode in {training} of {passes} passes over held-out data: "
        f"{norm.name} normalized them by their own batches, and took them into its statistics."
    )
    numbers = {"training": training, "passes": passes}
    remedy = "model.eval() before the validation, model.train() after it"
    return Finding("warning", 0.9, told, remedy, numbers, norm.name)


def _of_idle(norm: ModuleFacts, left: float, updates: int) -> Finding:
    momentum = norm.settings.get("momentum")
    told = (
        f"With momentum={momentum} the running statistics of {norm.name} hold {left:.0%} of their "
        f"first values, 0 and 1, after {updates:,} updates; evaluation uses them."
    )
    numbers = {"momentum": momentum, "left": left}
    return Finding("warning", 0.9, told, f"momentum={momentum} → 0.1", numbers, norm.name)
