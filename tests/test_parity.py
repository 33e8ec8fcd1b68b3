"""The parity page says what is measured today, and its transcriptions differ in one thing only."""

import re
import runpy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from thalweg import optim
from thalweg.rules import find

DOCS = Path(__file__).parents[1] / "docs"
parity = SimpleNamespace(**runpy.run_path(str(DOCS / "parity.py")))
PAGE = (DOCS / "parity.md").read_text(encoding="utf-8")


def test_the_page_is_what_is_measured() -> None:
    """Where this fails, `make docs` writes the page anew; read what changed before keeping it."""
    assert parity.page() == PAGE


def test_every_optimizer_is_on_the_page() -> None:
    assert {pair.name for pair in parity.PAIRS} == {*optim.__all__} - {"Optimizer"}


def test_what_is_listed_as_absent_exists_in_torch() -> None:
    assert all(hasattr(torch.optim, name) for name in parity.ABSENT)


def test_no_pair_is_different() -> None:
    assert "DIFFERENT" not in PAGE


def test_the_quirks_quote_shares_from_the_page() -> None:
    quirks = (DOCS / "quirks.md").read_text(encoding="utf-8")
    shares = re.findall(r"[\d.]+ %", quirks)
    assert shares
    assert all(f"| {share} |" in PAGE for share in shares)


TINY = 1e-150
COINCIDE: dict[str, tuple[str, Any, dict[str, float]]] = {
    "momentum": ("momentum", partial(parity.momentum_inside, lr=parity.constant), {}),
    "adagrad": (
        "adagrad",
        partial(parity.adagrad_in_root, eps=TINY**2),
        {"initial_accumulator_value": 0.1, "eps": TINY},
    ),
    "rmsprop": ("rmsprop", partial(parity.rmsprop_in_root, eps=TINY**2), {"eps": TINY}),
    "adam": ("adam", partial(parity.adam_eps_hat, eps=TINY), {"eps": TINY}),
    "amsgrad, corrected": (
        "amsgrad", partial(parity.amsgrad_of_corrected, beta2=0.0), {"beta2": 0.0},
    ),
    "amsgrad, uncorrected": (
        "amsgrad",
        partial(parity.amsgrad_uncorrected, beta1=0.0, beta2=0.0),
        {"beta1": 0.0, "beta2": 0.0},
    ),
    "radam": ("radam", partial(parity.radam_from, threshold=5), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", COINCIDE)
def test_a_transcription_equals_the_rule_where_conventions_coincide(case: str) -> None:
    """A slip in a transcription would look like a difference of convention."""
    key, theirs, settings = COINCIDE[case]
    gs = parity.gradients()[:, 0]
    with np.errstate(invalid="ignore"):
        steps = np.nan_to_num(np.stack(list(theirs(gs))))
        path = parity.rule_path(find(key), gs, {"lr": parity.RATE, **settings})
    assert np.diff(path, axis=0) == pytest.approx(-steps, rel=1e-9, abs=1e-12)


def test_radam_that_waits_goes_on_like_radam() -> None:
    gs = parity.gradients()[:, 0]
    waiting, paper = (np.stack(list(f(gs))) for f in (parity.radam_waiting, parity.radam_from))
    assert not waiting[:5].any()
    assert np.array_equal(waiting[5:], paper[5:])


def test_a_bound_is_a_power_of_ten_not_below_the_value() -> None:
    assert [parity.bound(x) for x in (0.0, 9e-13, 1.1e-12)] == ["≤ 1e-13", "≤ 1e-12", "≤ 1e-11"]
    assert [parity.share(x) for x in (0.17421, 1.8877, 0.00013)] == ["17 %", "190 %", "0.013 %"]
