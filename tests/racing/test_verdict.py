"""The verdict says what the numbers support, in words that a newcomer understands."""

import math

import pytest

from thalweg.errors import BadValue
from thalweg.racing.result import Row
from thalweg.racing.verdict import sentences, verdict

INF, NAN = math.inf, math.nan
SPREAD = [0.004, -0.004, 0.002, -0.002, 0.0, 0.0, 0.001, -0.001, 0.003, -0.003]
STRIDES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]


def entry(name, loss, *, seeds=10, failed=0, steps=None, late=0, flip=1, **rest):
    """A rule whose losses lie around *loss*; the last seeds fail, or come too late."""
    losses = [loss + flip * each for each in SPREAD[:seeds]]
    losses[seeds - failed :] = [INF] * failed
    times = [] if steps is None else [float(steps + each) for each in STRIDES[:seeds]]
    if times:
        times[seeds - late :] = [INF] * late
    return Row(name, rest.pop("setting", {"lr": 1.1e-3}), losses, times, **rest)


BEST = entry("AdamW", 0.143)
LIKE = entry("Adam", 0.143, flip=-1)
WORSE = entry("SGD", 0.3)
WORST = entry("Adagrad", 0.9)
DEAD = entry("Yogi", 0.0, failed=10)
HEAD = "AdamW at 1.1e-3 has the lowest median loss: 0.143 (0.141 to 0.145)"

SITUATIONS = {
    "a clear winner": ([WORSE, BEST, WORST], f"{HEAD}. SGD and Adagrad came out higher."),
    "a clear winner of many": (
        [WORSE, BEST, WORST, entry("Lion", 0.4)],
        f"{HEAD}. Every other rule came out higher.",
    ),
    "a winner of two": ([WORSE, BEST], f"{HEAD}. SGD came out higher."),
    "a group at the top": ([BEST, WORSE, LIKE], f"{HEAD}. Indistinguishable from it: Adam."),
    "no difference": (
        [BEST, LIKE],
        f"No difference was shown. {HEAD}, but Adam cannot be told from it.",
    ),
    "the same numbers twice": (
        [BEST, entry("Twin", 0.143), entry("Triplet", 0.143)],
        f"No difference was shown. {HEAD}, but Twin and Triplet cannot be told from it.",
    ),
    "one rule": (
        [BEST],
        "AdamW at 1.1e-3 ends at a loss of 0.143 (0.141 to 0.145). It ran alone: there is nothing "
        "to compare it with.",
    ),
    "one seed": (
        [entry("AdamW", 0.139, seeds=1), entry("SGD", 0.3, seeds=1)],
        "AdamW at 1.1e-3 came out lowest, at a loss of 0.143. One seed shows nothing: another may "
        "put the rules in another order.",
    ),
    "five seeds": (
        [entry("AdamW", 0.143, seeds=5), entry("SGD", 0.3, seeds=5)],
        "AdamW at 1.1e-3 came out lowest, at a loss of 0.143. 5 seeds are too few to show a "
        "difference; that takes at least 6.",
    ),
    "a tie of one seed": (
        [entry("AdamW", 0.139, seeds=1), entry("SGD", 0.139, seeds=1)],
        "AdamW at 1.1e-3 and SGD at 1.1e-3 came out lowest, at a loss of 0.143. One seed shows "
        "nothing: another may put the rules in another order.",
    ),
    "one rule and one seed": (
        [entry("AdamW", 0.139, seeds=1)],
        "AdamW at 1.1e-3 ends at a loss of 0.143. It ran alone: there is nothing to compare it "
        "with.",
    ),
    "everything failed": ([DEAD, entry("Lion", 0.0, failed=10)], "No verdict: every run diverged."),
    "everything mostly failed": (
        [entry("Lion", 0.1, failed=7), DEAD],
        "No verdict: no rule finished with more than half of its seeds. Lion diverged with 7 of 10 "
        "seeds. Yogi diverged with every seed.",
    ),
    "one rule failed": (
        [DEAD, BEST],
        f"{HEAD}. Yogi came out higher. Yogi diverged with every seed.",
    ),
    "one rule failed with its one seed": (
        [entry("AdamW", 0.139, seeds=1), entry("Yogi", 0.1, seeds=1, failed=1)],
        "AdamW at 1.1e-3 came out lowest, at a loss of 0.143. One seed shows nothing: another may "
        "put the rules in another order. Yogi diverged with the one seed.",
    ),
    "a winner that failed sometimes": (
        [entry("Lion", 0.1, failed=3), WORST],
        "No difference was shown. Lion at 1.1e-3 has the lowest median loss: 0.102 (0.099 to "
        "infinity), but Adagrad cannot be told from it. Lion diverged with 3 of 10 seeds.",
    ),
    "a disagreement of medians and pairs": (
        [
            Row("Low", {"lr": 1.0}, [1, 2, 3, 4, 4.9, 6, 7, 8, 9]),
            Row("Pairwise", {"lr": 1.0}, [0.9, 1.9, 2.9, 3.9, 5, 5.9, 6.9, 7.9, 8.9]),
        ],
        "Low at 1 has the lowest median loss: 4.9 (2 to 8). Seed by seed Pairwise came out lower: "
        "no order is claimed between them.",
    ),
    "defaults": (
        [entry("AdamW", 0.143, setting={}), WORSE],
        HEAD.replace("at 1.1e-3", "with its defaults") + ". SGD came out higher.",
    ),
    "several hyperparameters": (
        [entry("AdamW", 0.143, setting={"lr": 0.02, "beta2": 0.999877, "eps": 1e-8}), WORSE],
        HEAD.replace("at 1.1e-3", "at lr 0.02, beta2 0.999877, eps 1e-8")
        + ". SGD came out higher.",
    ),
    "an under-tuned rule": (
        [BEST, entry("Momentum", 0.3, lost_to=["SGD"])],
        f"{HEAD}. Momentum came out higher. Momentum lost to SGD, which it contains as a special "
        "or limiting case: it is under-tuned, and its place says little.",
    ),
    "a winner on a boundary": (
        [entry("AdamW", 0.143, edges={"lr": "low"}), WORSE],
        f"{HEAD}. SGD came out higher. The lr chosen for AdamW, 1.1e-3, lies at the lower end of "
        "what was searched: a better one may lie beyond it.",
    ),
    "a loser on two boundaries": (
        [
            BEST,
            entry(
                "Adam", 0.9, setting={"lr": 10.0, "eps": 1e-11}, edges={"lr": "high", "eps": "low"}
            ),
        ],
        f"{HEAD}. Adam came out higher. Chosen at an end of what was searched: lr 10 of Adam "
        "(upper), eps 1e-11 of Adam (lower). Better ones may lie beyond.",
    ),
    "several under-tuned rules": (
        [
            BEST,
            entry("Adam", 0.9, lost_to=["SGD", "Momentum"]),
            entry("Momentum", 0.8, lost_to=["SGD"]),
        ],
        f"{HEAD}. Adam and Momentum came out higher. Lost to rules that they contain as special or "
        "limiting cases: Adam to SGD and Momentum; Momentum to SGD. They are under-tuned, and "
        "their places say little.",
    ),
    "several failed with some seeds": (
        [
            BEST,
            *(entry(name, 0.3, failed=n) for name, n in {"SGD": 1, "Lion": 3, "LARS": 1}.items()),
        ],
        f"{HEAD}. Every other rule came out higher. These diverged with only some of the 10 seeds: "
        "Lion (3), SGD and LARS (1).",
    ),
}

FAST = entry("AdamW", 0.143, steps=1000)
REACHED = "AdamW reaches the target in 1040 steps (1020 to 1070)."

TARGETS = {
    "others are slower or never arrive": (
        [FAST, entry("SGD", 0.3, steps=2100), entry("Adagrad", 0.9, steps=0, late=10)],
        f"{REACHED} SGD needs 2.05 times the steps (2.03 to 2.08). Adagrad never reached the "
        "target.",
    ),
    "two are slower": (
        [FAST, entry("SGD", 0.3, steps=2100), entry("Lion", 0.3, steps=3100)],
        f"{REACHED} SGD needs 2.05 times the steps (2.03 to 2.08) and Lion 3.01 times (2.96 to "
        "3.06).",
    ),
    "another is faster": (
        [FAST, entry("Lion", 0.3, steps=500)],
        f"{REACHED} Lion needs 0.522 times the steps (0.51 to 0.533).",
    ),
    "the same times": (
        [FAST, entry("Lion", 0.3, steps=1000)],
        f"{REACHED} No difference in steps was shown between it and Lion.",
    ),
    "some arrive with some seeds": (
        [FAST, entry("Lion", 0.3, steps=2100, late=4)],
        f"{REACHED} Lion needs 2.09 times the steps (2.07 to infinity). Lion reached the target "
        "with 6 of 10 seeds.",
    ),
    "the winner arrives with few seeds": (
        [entry("AdamW", 0.143, steps=1000, late=8), entry("Lion", 0.3, steps=2100)],
        "AdamW reached the target with 2 of 10 seeds.",
    ),
    "the winner arrives never": (
        [entry("AdamW", 0.143, steps=1000, late=10), entry("Lion", 0.3, steps=2100, late=1)],
        "Lion reached the target with 9 of 10 seeds. AdamW never reached the target.",
    ),
    "nobody arrives": (
        [entry("AdamW", 0.143, steps=1, late=10), entry("Lion", 0.3, steps=1, late=10)],
        "The target was never reached.",
    ),
    "two never arrive": (
        [FAST, entry("SGD", 0.3, steps=1, late=10), entry("Lion", 0.3, steps=1, late=10)],
        f"{REACHED} SGD and Lion never reached the target.",
    ),
    "one rule": ([FAST], REACHED),
    "three seeds": (
        [entry("AdamW", 0.143, seeds=3, steps=10), entry("SGD", 0.3, seeds=3, steps=90)],
        "AdamW reaches the target in 20 steps.",
    ),
    "a rule that always diverged did not miss the target but fail": (
        [FAST, entry("Yogi", 0.0, failed=10, steps=1, late=10)],
        f"{REACHED} Yogi diverged with every seed.",
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_verdict_fits_the_situation(name):
    entries, expected = SITUATIONS[name]
    assert verdict(entries) == expected


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_said_of_the_target_fits_the_situation(name):
    entries, expected = TARGETS[name]
    assert verdict(entries).endswith(f" {expected}")


def test_nothing_is_said_of_a_target_where_there_is_none():
    assert "target" not in verdict([BEST, WORSE, DEAD])


def test_a_nan_is_a_failure():
    broken = Row("Yogi", {"lr": 1.0}, [NAN] * 10)
    assert verdict([broken, BEST]).endswith("Yogi diverged with every seed.")


def test_the_metric_and_the_unit_are_named():
    found = verdict([FAST, entry("SGD", 0.3, steps=2100)], metric="perplexity", unit="seconds")
    assert "lowest median perplexity: " in found
    assert "times the seconds" in found
    assert "loss" not in found.replace("lost", "")
    assert "steps" not in found


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12300"), (1.0, "1"), (0.04567, "0.0457"), (0.0012345, "1.23e-3"), (0.0, "0"),
     (-0.5, "-0.5"), (3.2e9, "3.2e9")],
)  # fmt: skip
def test_losses_are_written_with_three_digits(value, text):
    assert f"a loss of {text} (" in verdict([Row("SGD", {"lr": 1.0}, [value] * 10)])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([BEST, entry("SGD", 0.3, seeds=3)], "AdamW has 10 and 0, SGD has 3 and 0"),
        ([FAST, WORSE], "AdamW has 10 and 10, SGD has 10 and 0"),
        ([Row("SGD", {}, [1.0, 2.0], [5.0])], "SGD has 2 and 1"),
        ([BEST, BEST], "a name of its own in a verdict; got AdamW, AdamW"),
    ],
)
def test_rules_that_cannot_be_paired_or_told_apart_are_refused(entries, message):
    with pytest.raises(BadValue, match=message):
        verdict(entries)


def test_a_verdict_is_its_sentences_the_ranking_first():
    found = sentences([FAST, entry("SGD", 0.3, steps=2100)])
    assert found[0] == f"{HEAD}."
    assert verdict([FAST, entry("SGD", 0.3, steps=2100)]) == " ".join(found)


def test_a_verdict_on_nobody_is_refused():
    with pytest.raises(BadValue, match="at least one rule"):
        verdict([])
