"""The parity page is complete, says what is measured today, and its transcriptions can be trusted.

A transcription equals the variant that claims it, and the rule of the bare name once the one thing
in which they differ is switched off.
"""

import ast
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thalweg import optim
from thalweg.rules import CONVENTIONS, catalogue, find, variants

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "parity.md").read_text(encoding="utf-8")
parity: Any = import_module("docs.parity")
conventions: Any = import_module("docs.conventions")


def table(first: str, second: str) -> list[dict[str, str]]:
    """Return the lines of the page's table whose first columns are these, by column."""
    _, _, rest = PAGE.partition(f"\n| {first} | {second} |")
    lines = f"| {first} | {second} |{rest}".partition("\n\n")[0].split("\n")
    head, _, *cells = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return [dict(zip(head, line, strict=True)) for line in cells]


CLASSES = table("thalweg.optim", "rule")
RULES = table("rule", "like")


def test_the_page_is_what_is_measured() -> None:
    """Where this fails, `make docs` writes the page anew; read what changed before keeping it."""
    assert parity.page() == PAGE


def test_every_class_is_on_the_page() -> None:
    shown = {row["thalweg.optim"].strip("`").partition("(")[0] for row in CLASSES}
    assert shown == {*optim.__all__} - {"Optimizer"}


def test_every_rule_and_variant_is_on_the_page() -> None:
    assert {row["rule"].strip("`") for row in RULES} == {*catalogue, *variants}


def test_every_variant_is_shown_beside_the_rule_of_its_name() -> None:
    apart = {row["rule"].strip("`") for row in RULES if row["differs in"] and row["apart"]}
    assert apart == {*variants}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_is_on_the_page(name: str) -> None:
    for like, rule in CONVENTIONS[name].items():
        assert any(
            row["rule"] == f"`{rule.key}`" and like in row["like"].split(", ") for row in RULES
        )


@pytest.mark.parametrize("name", ["PowerSign", "AddSign", "SGDW", "AdamW", "Lion"])
def test_classes_follow_the_equations_of_their_papers(name: str) -> None:
    assert any(
        row["thalweg.optim"] == f"`{name}()`"
        and re.search(r"; .* 20\d\d", row["torch.optim"])
        and row["deviation"] == "≤ 1e-13"
        for row in CLASSES
    )


def test_no_class_is_different() -> None:
    assert {row["verdict"] for row in CLASSES} == {"equal"}


def test_every_rule_and_variant_equals_its_source() -> None:
    assert {row["deviation"] for row in RULES} == {"≤ 1e-13"}


def test_what_is_listed_as_absent_exists_in_torch() -> None:
    assert all(hasattr(torch.optim, name) for name in parity.ABSENT)


def test_the_quirks_quote_shares_from_the_page() -> None:
    quirks = (DOCS / "quirks.md").read_text(encoding="utf-8")
    shares = re.findall(r"[\d.]+ %", quirks)
    assert shares
    assert all(f"| {share} |" in PAGE for share in shares)


def test_transcriptions_use_nothing_of_the_package() -> None:
    tree = ast.parse((DOCS / "conventions.py").read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in [getattr(node, "module", None) or "", *(each.name for each in node.names)]
    }
    assert "thalweg" not in imported
    assert "numpy" in imported


TINY = 1e-150
LONG = 1e300
NO_EPS = {"eps": TINY}
COINCIDE: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "adagrad, without eps": (
        "adagrad", partial(conventions.adagrad_in_root, eps=TINY**2),
        {"initial_accumulator_value": 0.1, "eps": TINY},
    ),
    "adadelta, with torch's rho": ("adadelta", partial(conventions.adadelta, rho=0.9), {}),
    "rmsprop, without eps": (
        "rmsprop", partial(conventions.rmsprop_in_root, alpha=0.99, eps=TINY**2), NO_EPS,
    ),
    "adam, epsilon hat of nothing": ("adam", partial(conventions.adam_eps_hat, eps=TINY), NO_EPS),
    "adam, eps_root of nothing": (
        "adam", partial(conventions.adam, eps=0.0, eps_root=TINY**2), NO_EPS,
    ),
    "adam, nothing to correct": (
        "adam", partial(conventions.adam_uncorrected, beta1=0.0, beta2=0.0, eps=1e-8),
        {"beta1": 0.0, "beta2": 0.0},
    ),
    "amsgrad, nothing to correct": (
        "amsgrad", partial(conventions.amsgrad_uncorrected, beta1=0.0, beta2=0.0, eps=1e-8),
        {"beta1": 0.0, "beta2": 0.0},
    ),
    "amsgrad, no second moment to correct": (
        "amsgrad", partial(conventions.amsgrad_of_corrected, beta2=0.0), {"beta2": 0.0},
    ),
    "amsgrad, epsilon hat of nothing": (
        "amsgrad", partial(conventions.amsgrad_eps_hat, eps=TINY), NO_EPS,
    ),
    "adamax, without eps": ("adamax", conventions.adamax_without_eps, NO_EPS),
    "adamax, eps of nothing outside": (
        "adamax", partial(conventions.adamax_eps_outside, eps=TINY), NO_EPS,
    ),
    "radam, with torch's threshold": ("radam", partial(conventions.radam, threshold=5.0), {}),
    "radam, without eps": ("radam", partial(conventions.radam_eps_after, eps=TINY), NO_EPS),
    "yogi, nothing to correct": (
        "yogi", partial(conventions.yogi_corrected, beta1=0.0, beta2=0.0),
        {"beta1": 0.0, "beta2": 0.0},
    ),
    "adamw, decay in units of the base rate": (
        "adamw",
        partial(conventions.adamw, base_lr=parity.RATE, weight_decay=parity.RATE * parity.DECAY),
        {"lr": parity.halved, "weight_decay": parity.DECAY},
    ),
    "sgdw, decay in units of the base rate": (
        "sgdw",
        partial(conventions.sgdw, base_lr=parity.RATE, weight_decay=parity.RATE * parity.DECAY),
        {"weight_decay": parity.DECAY},
    ),
    **{
        f"{key}, {word} decay that never comes": (
            key, partial(getattr(conventions, key), share=share, decay_steps=LONG), {},
        )
        for key in ("powersign", "addsign")
        for word, share in parity.SHARES.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", COINCIDE)
def test_a_transcription_equals_the_rule_where_conventions_coincide(case: str) -> None:
    """A slip in a transcription would look like a difference of convention."""
    key, theirs, settings = COINCIDE[case]
    start, gs = parity.starts()[0], parity.gradients()[:, 0]
    given = {"lr": parity.RATE, **settings}
    path = parity.rule_path(find(key), start, gs, given)
    points = np.stack([start, *theirs(start, gs, lr=given["lr"])])
    assert parity.apart(path, points) <= 1e-12


def test_rprop_with_backtracking_is_rprop_while_no_gradient_turns() -> None:
    start, gs = parity.starts()[0], np.abs(parity.gradients()[:, 0])
    path = parity.rule_path(find("rprop"), start, gs, {"lr": parity.RATE})
    points = [start, *conventions.rprop_with_backtracking(start, gs, parity.RATE)]
    assert parity.apart(path, np.stack(points)) <= 1e-12


def test_rprop_with_backtracking_returns_where_the_gradient_turns() -> None:
    gs = np.array([[1.0], [-1.0], [-1.0]])
    first, second, third = conventions.rprop_with_backtracking(np.zeros(1), gs, 0.1)
    assert (first[0], second[0], third[0]) == pytest.approx((-0.1, 0.0, 0.05))


def test_radam_that_waits_goes_on_like_radam() -> None:
    gs = parity.gradients()[:, 0]
    waiting = np.stack([*conventions.radam(0.0 * gs[0], gs, 1.0, threshold=5.0, early=0.0)])
    paper = np.stack([*conventions.radam(0.0 * gs[0], gs, 1.0, threshold=5.0)])
    assert not waiting[:5].any()
    assert np.diff(waiting[4:], axis=0) == pytest.approx(np.diff(paper[4:], axis=0), abs=1e-12)


def test_a_bound_is_a_power_of_ten_not_below_the_value() -> None:
    assert [parity.bound(x) for x in (0.0, 9e-13, 1.1e-12)] == ["≤ 1e-13", "≤ 1e-12", "≤ 1e-11"]
    assert [parity.share(x) for x in (0.17421, 1.8877, 0.00013)] == ["17 %", "190 %", "0.013 %"]
