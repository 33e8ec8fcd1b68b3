"""At a constant learning rate the noise of small batches keeps the loss above a floor."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, change, rounded, short
from thalweg.doctor.floor import floor_share
from thalweg.doctor.signs import remaining, stalled


@check(
    code="GD205",
    name="noise floor",
    finds="""A loss that no longer falls, of which a good part comes from the noise of the gradient:
        at this rate each update adds as much as it takes away.""",
    why="""A step follows the gradient of one batch, not that of the data. Close to the bottom only
        the difference is left, and the weights walk at random around it at a height that grows
        with the learning rate and with the noise, and shrinks with the batch.""",
    fix="""Decay the learning rate towards the end (cosine, 1/t, steps), average the weights of the
        last updates, or make the batch larger.""",
    reference="""Bottou, Curtis & Nocedal 2018, Optimization methods for large-scale machine
        learning, arXiv:1606.04838, theorem 4.6; Polyak & Juditsky 1992 (averaging)""",
    needs=("losses", "noise"),
    explains=("GD204", "GD206", "GD209", "GD506"),
)
def noise_keeps(
    seen: Evidence, *, share: float = 0.05, adaptive: float = 0.15, fallen: float = 0.92,
    kept: float = 0.25, least: int = 100,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where noise makes up a *share* of a loss that does not fall.

    For Adam's family, of which only the most that it can be is known, the share is *adaptive*, and
    a fall that may be noise is one. The loss does not fall if its second half is above *fallen*
    times the quarter before. One below *kept* of its start has come far enough.
    """
    part, wanted = floor_share(seen), adaptive if seen.optimizer.adaptive else share
    if part is None or part < wanted or seen.updates < least:
        return
    if remaining(seen) >= kept and stalled(seen, fallen, doubt=not seen.optimizer.adaptive):
        yield _finding(seen, part)


def _finding(seen: Evidence, part: float) -> Finding:
    now = float(seen.lrs().values[-1])
    noise = seen.noise
    assert noise is not None
    told = (
        f"About {min(part, 1):.0%} of the loss comes from the noise of batches of {noise.batch:,} "
        f"at lr={short(now)}, and it no longer falls."
    )
    numbers = {"lr": now, "share": part, "trace": noise.spread, "batch": noise.batch}
    decay = f"{change('lr', now, rounded(now / 10))} over the last part of the run (cosine)"
    remedy = f"{decay}, or an average of the last weights"
    return Finding("warning", min(0.9, 0.5 + part), told, remedy, numbers)
