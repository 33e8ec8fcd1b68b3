"""Batches that hold one class after the other teach the last one and forget the first."""

from collections.abc import Iterator, Sequence

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, Severity, short

Pieces = Sequence[np.ndarray]


@check(
    code="GD502",
    name="data in order",
    finds="""Training batches whose targets differ from one stretch of the run to the next by far
        more than chance: data sorted by class or by value. Batches that come in the same order in
        every epoch, though well mixed, are only remarked upon.""",
    why="""A batch stands for the whole set only if it is drawn from all of it. Where each holds one
        class, its gradient teaches to answer that class whatever the input, and the next batch
        unlearns it: the loss looks small, and jumps at every change of class.""",
    fix="""Shuffle in each epoch: `DataLoader(dataset, batch_size, shuffle=True)`. Where the data
        are a stream, shuffle within a buffer that is much longer than a stretch of one class.""",
    reference="""Bottou 2012, Stochastic gradient descent tricks, section 4.1 (shuffling); Bengio
        2012, Practical recommendations for gradient-based training, arXiv:1206.5533, section 2.1.2
    """,
    needs=("labels",),
    glances=("losses",),
    explains=(
        "GD201", "GD202", "GD203", "GD204", "GD205", "GD206", "GD207", "GD208", "GD209", "GD301",
        "GD302", "GD303", "GD304", "GD407", "GD503", "GD504", "GD506", "GD507",
    ),
)  # fmt: skip
def data_in_order(
    seen: Evidence, *, told: float = 0.15, severe: float = 0.4, most: int = 1000, least: int = 256
) -> Iterator[Finding]:
    """Yield a finding where the stretch of the run tells the share *told* of an example's target.

    From *severe* on it is an error. A stretch is long enough for five examples of each class;
    targets of more than *most* classes are left alone. One class alone among *least* examples is an
    error as well, unless an update has several losses.
    """
    classes, values = _targets(seen, "classes"), _targets(seen, "values")
    if len(values) > len(classes):
        share, what, pieces = _spread_between(values), "value", values
    else:
        share, what, pieces = _information(classes, most), "class", classes
    if share >= told:
        yield _in_order(share, what, pieces, "error" if share >= severe else "warning")
    elif _one_class(seen, classes, least):
        yield _single(classes)
    elif period := _period(seen):
        yield _same_order(period)


def _targets(seen: Evidence, kind: str) -> Pieces:
    """Return the targets of each batch that has some, one of each example."""
    sizes = {each.number: each.examples for each in seen.steps if each.backwards == 1}
    found = [(np.asarray(getattr(each, kind)), sizes.get(each.step)) for each in seen.labels]
    return [_one_an_example(batch, size) for batch, size in found if len(batch)]


def _one_an_example(batch: np.ndarray, examples: int | None) -> np.ndarray:
    apart = max(1, len(batch) // (examples or len(batch)))
    return batch[apart // 2 :: apart]


def _information(batches: Pieces, most: int) -> float:
    """Return the mutual information of stretch and class as a share of the entropy of classes.

    What chance alone would give on average is taken off (Miller & Madow).
    """
    counts = _counts(batches, most)
    total = counts.sum()
    if len(counts) < 3 or counts.shape[1] < 2:
        return 0.0
    joint, entropy = counts / total, _entropy(counts.sum(0) / total)
    shared = entropy + _entropy(counts.sum(1) / total) - _entropy(joint.ravel())
    chance = (counts.shape[0] - 1) * (counts.shape[1] - 1) / (2 * total)
    return float(max(0.0, shared - chance) / entropy)


def _counts(batches: Pieces, most: int) -> np.ndarray:
    """Return how many examples of each class there are in each stretch of batches."""
    names, places = np.unique(np.concatenate([np.empty(0), *batches]), return_inverse=True)
    if not 0 < len(names) <= most:
        return np.zeros((0, 0))
    sizes = [len(each) for each in batches]
    stretches = np.unique((np.cumsum(sizes) - 1) // (5 * len(names)), return_inverse=True)[1]
    counts = np.zeros((stretches.max() + 1, len(names)))
    np.add.at(counts, (np.repeat(stretches, sizes), places), 1)
    return counts


def _entropy(shares: np.ndarray) -> float:
    found = shares[shares > 0]
    return float(-(found * np.log(found)).sum())


def _spread_between(batches: Pieces) -> float:
    """Return the share of the targets' variance between stretches of five or more, less chance."""
    sizes = [len(each) for each in batches]
    whole = np.concatenate(batches)
    stretches = np.unique((np.cumsum(sizes) - 1) // 5, return_inverse=True)[1]
    owner = np.repeat(stretches, sizes)
    finite = np.isfinite(whole)
    whole, owner = whole[finite], owner[finite]
    parts = [whole[owner == each] for each in np.unique(owner)]
    if len(parts) < 8 or len(whole) < 2 * len(parts) or not whole.var() > 0:
        return 0.0
    within = sum(each.var() * len(each) for each in parts) / (len(whole) - len(parts))
    return float(max(0.0, 1 - within / whole.var()))


def _one_class(seen: Evidence, batches: Pieces, least: int) -> bool:
    single = bool(batches) and len(np.unique(np.concatenate(batches))) == 1
    several = any(each.backwards > 1 for each in seen.steps)
    return single and not several and sum(map(len, batches)) >= least


def _period(seen: Evidence, least: int = 100) -> int:
    """Return after how many updates the batches come again in their order, 0 if they do not.

    At least so many labels must have been the same again.
    """
    batches = {each.step: tuple(each.classes or each.values) for each in seen.labels}
    begins = batches.get(1)
    if begins is None or len(set(batches.values())) < 4:
        return 0
    for period in (step - 1 for step, each in batches.items() if step > 4 and each == begins):
        pairs = [(batches[k], batches[k + period]) for k in batches if k + period in batches]
        again = sum(len(now) for now, later in pairs if now == later)
        if again >= least and all(now == later for now, later in pairs):
            return period
    return 0


def _in_order(share: float, what: str, batches: Pieces, severity: Severity) -> Finding:
    told = (
        f"Which stretch of the run it is tells {share:.0%} of the {what} of an example; in "
        f"shuffled data it tells nothing. The first batches hold {_begin(batches)}."
    )
    remedy = "DataLoader(shuffle=False) → DataLoader(shuffle=True), in each epoch"
    return Finding(severity, min(1.0, 0.6 + share), told, remedy, {"share": share})


def _single(batches: Pieces) -> Finding:
    examples = sum(map(len, batches))
    told = f"All {examples:,} training examples that were looked at are of class {batches[0][0]:g}."
    remedy = "DataLoader(shuffle=False) → DataLoader(shuffle=True), over examples of all classes"
    return Finding("error", 0.8, told, remedy, {"share": 1.0, "examples": examples})


def _begin(batches: Pieces) -> str:
    few = [np.unique(each) for each in batches[:3]]
    return "; ".join(
        ", ".join(short(float(value)) for value in each[:4]) + ("…" if len(each) > 4 else "")
        for each in few
    )


def _same_order(period: int) -> Finding:
    told = f"The batches come in the same order every {period} updates."
    remedy = "Shuffle them in each epoch: DataLoader(shuffle=True)."
    return Finding("remark", 0.9, told, remedy, {"period": period})
