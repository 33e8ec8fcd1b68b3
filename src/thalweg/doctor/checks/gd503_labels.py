"""Labels that do not belong to their inputs can be learned by heart, and in no other way."""

import math
from collections.abc import Iterator

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Neighbours
from thalweg.doctor.finding import Finding
from thalweg.doctor.signs import remaining


@check(
    code="GD503",
    name="labels look shuffled",
    finds="""Training examples whose class neither their nearest neighbours nor all others together
        tell better than chance, in a run that learned nothing which holds beyond them.""",
    why="""A network large enough learns any labels by heart, so the training loss alone does not
        tell. Nothing that it learned of them holds for another example.""",
    fix="""Look at some examples with their labels. Usual causes: inputs shuffled or filtered apart
        from the labels, two files sorted differently, an index that is one off, the wrong column,
        augmentation that changes what the label says.""",
    reference="""Zhang et al. 2017, Understanding deep learning requires rethinking generalization,
        arXiv:1611.03530; Cover & Hart 1967, Nearest neighbor pattern classification""",
    needs=("neighbours", "losses"),
    glances=("validation", "labels"),
    explains=(
        "GD201", "GD202", "GD203", "GD205", "GD206", "GD207", "GD208", "GD209", "GD407", "GD504",
        "GD506", "GD507",
    ),
)  # fmt: skip
def labels_shuffled(
    seen: Evidence, *, doubt: float = 2.5, beyond: float = 0.1, stuck: float = 0.9, least: int = 64
) -> Iterator[Finding]:
    """Yield a finding where classes are told by chance alone, and nothing general was learned.

    Chance is within *doubt* standard errors. Of the accuracy on held-out data that chance leaves
    room for, the run may have reached the share *beyond*; without a validation its loss must have
    stayed above *stuck* of what knowing no more than the frequencies of classes would give.
    """
    found = seen.neighbours
    if found is None or found.examples < least or not _by_chance(found, doubt):
        return
    general = _learned(seen, beyond)
    if general is None:
        general = _level(seen) < stuck
    if not general:
        yield _finding(seen, found, stuck)


def _by_chance(found: Neighbours, doubt: float) -> bool:
    """Whether neighbours and regression agree with classes as chance would."""
    pairs = [(found.agreement, found.chance), (found.told, found.commonest)]
    known = [(share, chance) for share, chance in pairs if share is not None and chance is not None]
    return all(share < _most(chance, found.examples, doubt) for share, chance in known)


def _most(chance: float, examples: int, doubt: float) -> float:
    return chance + doubt * math.sqrt(chance * (1 - chance) / examples)


def _learned(seen: Evidence, beyond: float) -> bool | None:
    """Whether classes of held-out data were told better than by always naming the commonest."""
    known = [each for each in seen.validations if each.accuracy is not None]
    shares = _frequencies(seen)
    if not known or not len(shares):
        return None
    commonest, examples = float(shares.max()), min(each.examples or 100 for each in known)
    limit = _most(commonest, examples, 2.0) + beyond * (1 - commonest)
    return max(each.accuracy or 0.0 for each in known) > limit


def _frequencies(seen: Evidence) -> np.ndarray:
    classes = [one for each in seen.labels for one in each.classes]
    return np.unique(classes, return_counts=True)[1] / max(len(classes), 1)


def _level(seen: Evidence) -> float:
    """Return the last losses as a share of the entropy of classes, or of the first if less."""
    shares = _frequencies(seen)
    entropy = float(-(shares * np.log(shares)).sum())
    last = seen.losses.finite.medians(10)[-1:]
    return max(last[0] / entropy if last and entropy > 0 else 0.0, remaining(seen))


def _finding(seen: Evidence, found: Neighbours, stuck: float) -> Finding:
    by_heart = remaining(seen) < stuck and bool(seen.validations)
    told = (
        f"Of {found.examples:,} training examples {found.agreement:.0%} share the class of their "
        f"nearest neighbour, and by chance {found.chance:.0%} would; "
    )
    told += (
        "the training loss fell, but held-out data are told no better than by guessing."
        if by_heart
        else "the loss hardly fell."
    )
    remedy = "labels → those of the same examples: look at some inputs with their labels"
    numbers = {"agreement": found.agreement, "chance": found.chance, "examples": found.examples}
    return Finding("error", 0.95 if by_heart else 0.7, told, remedy, numbers)
