"""The chapters are woven from the rules as they are, and what they advise is computed."""

import re
import runpy
from collections.abc import Callable
from math import e
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thalweg import optim
from thalweg.algebra import evaluate, initial_values, latex, symbol, trace
from thalweg.algebra.letters import letter
from thalweg.rules import (
    catalogue,
    chain,
    decay_by_schedule,
    find,
    l2_decay,
    sgd,
    transform,
    transforms,
    variants,
)

DOCS = Path(__file__).parents[1] / "docs"
chapters = SimpleNamespace(**runpy.run_path(str(DOCS / "chapters.py")))
ADVICE = (DOCS / "when-to-use.md").read_text(encoding="utf-8")
RULES = [*catalogue.values(), *variants.values()]
PIECES: list[Any] = [*catalogue.values(), *transforms.values()]
NAMES = ["README.md", *(f"{name}.md" for name in chapters.CHAPTERS)]


def key_of(piece: Any) -> str:
    return piece.key


@pytest.fixture(scope="module")
def woven() -> dict[str, str]:
    return chapters.pages()


def page(name: str) -> str:
    return (DOCS / "rules" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_is_woven_today(name: str, woven: dict[str, str]) -> None:
    """Where this fails, `make docs` weaves the page anew; read what changed before keeping it."""
    assert page(name) == woven[name]


def test_no_page_is_left_over() -> None:
    assert {path.name for path in (DOCS / "rules").iterdir()} == set(NAMES)


@pytest.mark.parametrize("piece", [*PIECES, *variants.values()], ids=key_of)
def test_everything_has_a_heading_in_its_chapter(piece: Any) -> None:
    chapter = chapters.home(chapters.parent(piece) if piece.key in variants else piece)
    heading = piece.name[0].upper() + piece.name[1:] if piece.key in transforms else piece.name
    level = "###" if piece.key in variants else "##"
    assert f"\n{level} {heading}\n" in page(f"{chapter}.md")


def test_every_rule_and_transform_has_advice_in_the_order_of_the_chapters() -> None:
    chapter = {piece.key: chapters.home(piece) for piece in PIECES}
    keys = sorted(chapter, key=lambda key: list(chapters.CHAPTERS).index(chapter[key]))
    assert sorted(chapters.when()) == sorted(keys)
    advised = re.findall(r"^#+ (\w+)$", ADVICE, flags=re.MULTILINE)
    headings = [name for name in chapters.CHAPTERS if name in set(chapter.values())]
    assert [key for key in advised if chapter.get(key) or key in headings] == advised
    assert list(dict.fromkeys(chapter[key] for key in chapters.when())) == headings


def test_every_advice_is_in_full_sentences() -> None:
    assert all(words.endswith(".") and words.count(".") > 1 for words in chapters.when().values())


@pytest.mark.parametrize("rule", RULES, ids=key_of)
def test_the_source_shown_is_the_rule(rule: Any) -> None:
    space = dict(vars(chapters.module_of(chapters.home(rule))))
    exec(compile(chapters.source_of(rule), "<page>", "exec"), space)
    assert trace(space[rule.key]) is rule.outputs


@pytest.mark.parametrize("piece", transforms.values(), ids=key_of)
def test_the_source_shown_is_the_transform(piece: Any) -> None:
    space = dict(vars(chapters.module_of("transforms")))
    exec(compile(chapters.source_of(piece), "<page>", "exec"), space)
    again = transform(piece.name)(space[piece.key])
    assert chain(again, sgd).outputs is chain(piece, sgd).outputs


def stands_in(symbol: str, formula: str) -> bool:
    """Tell whether *symbol* stands in *formula* by itself, not as a piece of another name."""
    before = r"(?<![A-Za-z\\])" if symbol[0].isalpha() else ""
    return bool(re.search(rf"{before}{re.escape(symbol)}(?![A-Za-z_]|\^\{{[-+]\}})", formula))


@pytest.mark.parametrize(
    ("symbol", "formula"),
    [
        ("n", r"\min\left(\nu, n_t\right)"),
        (r"\eta", r"\eta_{\mathrm{noise}}\,\eta^{-}"),
    ],
)
def test_a_piece_of_another_name_is_no_symbol(symbol: str, formula: str) -> None:
    assert symbol in formula
    assert not stands_in(symbol, formula)
    assert stands_in(symbol, rf"{formula}\,{symbol}^{{2}}")


@pytest.mark.parametrize("rule", RULES, ids=key_of)
def test_the_symbols_of_the_table_stand_in_the_formula(rule: Any) -> None:
    formula = " ".join([latex(rule), *initial_values(rule)])
    assert [name for name in rule.hyperparameters if not stands_in(letter(name), formula)] == []


def test_every_class_runs_a_rule_of_the_pages() -> None:
    text = "".join(map(page, NAMES))
    assert all(
        f"Run by `thalweg.optim.{name}(" in text for name in {*optim.__all__} - {"Optimizer"}
    )


def test_a_convention_is_asked_for_as_the_page_says() -> None:
    text = "".join(map(page, NAMES))
    asked = re.findall(r'Run by `thalweg.Optimizer\(params, "(\w+)"(?:, like="(\w+)")?\)`', text)
    assert len(asked) > 10
    assert all(find(name, like or None) in RULES for name, like in asked)


@pytest.mark.parametrize("name", NAMES)
def test_every_anchor_is_a_heading(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w.]*)#([^)]+)\)", page(name)):
        headings = re.findall(r"^#+ (.+)$", page(target or name), flags=re.MULTILINE)
        assert anchor in map(chapters.slug, headings)


# What the advice says of steps.


def lengths(
    key: str, count: int, gradient: Callable[[int], float] = lambda t: 1.0, **settings: float
) -> list[float]:
    """How far a parameter at zero moves in each of *count* updates, in units of lr."""
    rule, p = find(key), 0.0
    lr = rule.settings(**settings)["lr"]
    state, moved = rule.init(p, **settings), []
    for t in range(1, count + 1):
        new, state = rule.update(p, gradient(t), state, t=t, **settings)
        moved.append(abs(new - p) / lr)
        p = new
    return moved


def once(t: int) -> float:
    return float(t == 1)


def spike(t: int) -> float:
    return 100.0 if t == 1 else 1.0


def largest_stable_rate(key: str) -> float:
    """Halve the interval of rates between one that goes down a parabola and one that goes up."""
    rule, low, high = find(key), 0.1, 10.0
    while high - low > 1e-2:
        lr, p = (low + high) / 2, 1.0
        state = rule.init(p, lr=lr)
        for t in range(1, 301):
            p, state = rule.update(p, p, state, t=t, lr=lr)
        low, high = (lr, high) if abs(p) < 1 else (low, lr)
    return low


def settled_adabelief() -> float:
    """The step, in units of lr, once a gradient that stays at 1 has left only eps in the spread."""
    rule = find("adabelief")
    eps, beta2, lr = (rule.settings()[name] for name in ("eps", "beta2", "lr"))
    state = {"exp_avg": 1.0, "exp_avg_var": eps / (1 - beta2)}
    p, after = rule.update(0.0, 1.0, state, t=100_000)
    assert after == pytest.approx(state)
    return -p / lr


def nadam_momentum(t: int) -> float:
    rule = find("nadam")
    (mu,) = [node for node, name in rule.traced.names.items() if name == "mu"]
    known = {symbol("hyper", name): value for name, value in rule.settings().items()}
    return evaluate((mu,), [{**known, symbol("clock", "t"): t}])[0][0]


def left_after(rule: Any, count: int, **settings: float) -> float:
    """What is left of a parameter at 1 after updates without a gradient."""
    p = 1.0
    state = rule.init(p, **settings)
    for t in range(1, count + 1):
        p, state = rule.update(p, 0.0, state, t=t, **settings)
    return p


def decay_in_place_of_l2() -> float:
    settings = {"lr": 0.1, "momentum": 0.9}
    coupled = left_after(chain(l2_decay, find("momentum")), 2000, weight_decay=5e-4, **settings)
    apart = left_after(find("sgdw"), 2000, weight_decay=5e-3, **settings)
    return float(np.log(coupled) / np.log(apart))


def moved_by_lars(start: float) -> float:
    """How far the first gradient moves a tensor of norm 2 *start* at lr = 10."""
    p, g = np.full(4, start), np.array([1.0, -2.0, 0.0, 5.0])
    lars = find("lars")
    new, _ = lars.update(p, g, lars.init(p), t=1, lr=10.0)
    return float(np.linalg.norm(new - p))


STEPS: list[tuple[str, str, Callable[[], float], float]] = [
    ("momentum", "a gradient counts 1 / (1 - momentum) times",
     lambda: sum(lengths("momentum", 300, once)), 10),
    ("nesterov", "lr up to 1.36 over the curvature", lambda: largest_stable_rate("nesterov"), 1.36),
    ("nesterov", "momentum allows 3.8", lambda: largest_stable_rate("momentum"), 3.8),
    ("adagrad", "The first step is lr whatever the gradient is",
     lambda: lengths("adagrad", 1, lambda t: 1e-5)[0], 1),
    ("adadelta", "a first step of about 0.003", lambda: lengths("adadelta", 1)[0], 0.003),
    ("adadelta", "ten times faster",
     lambda: lengths("adadelta", 1, eps=1e-4)[0] / lengths("adadelta", 1)[0], 10),
    ("rmsprop", "the first step is ten times lr", lambda: lengths("rmsprop", 1)[0], 10),
    ("adamax", "nearly five thousand steps",
     lambda: next(t for t, s in enumerate(lengths("adamax", 5000, spike)) if s > 0.99 and t), 4600),
    ("nadam", "0.45 at the first", lambda: nadam_momentum(1), 0.45),
    ("nadam", "0.81 at step 10,000", lambda: nadam_momentum(10_000), 0.81),
    ("radam", "at the sixth update with a fortieth of lr",
     lambda: lengths("radam", 6)[5], 1 / 40),
    ("radam", "two thirds of it after a thousand", lambda: lengths("radam", 1000)[-1], 2 / 3),
    ("radam", "a hundred times Adam's", lambda: lengths("radam", 5, lambda t: 100.0)[4], 100),
    ("adabelief", "more than three hundred times lr", settled_adabelief, 316),
    ("yogi", "three to seven times lr", lambda: lengths("yogi", 1)[0], 3),
    ("yogi", "three to seven times lr", lambda: max(lengths("yogi", 50)), 6.6),
    ("powersign", "2.7 times SGD's", lambda: lengths("powersign", 1)[0], e),
    ("addsign", "doubled where gradient and momentum agree", lambda: lengths("addsign", 1)[0], 2),
    ("lion", "moves by exactly lr", lambda: lengths("lion", 3, lambda t: 1e-9)[-1], 1),
    ("sgdw", "5e-4 at momentum 0.9 becomes 5e-3", decay_in_place_of_l2, 1),
    ("lars", "each gradient moves a tensor by lr / 1000 of its norm",
     lambda: moved_by_lars(0.5), 0.01),
    ("lars", "takes the plain rate", lambda: moved_by_lars(0.0) / 30**0.5, 10),
    ("decay_by_schedule", "0.01 means a hundred updates to forget",
     lambda: left_after(chain(sgd, decay_by_schedule), 100, weight_decay=0.01), 1 / e),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "words", "computed", "said"), STEPS, ids=[f"{key}: {words}" for key, words, *_ in STEPS]
)
def test_what_the_advice_says_of_steps_is_so(
    key: str, words: str, computed: Callable[[], float], said: float
) -> None:
    """Prose rounds: a third is .32 as well as .35."""
    assert words in " ".join(chapters.when()[key].split())
    assert computed() == pytest.approx(said, rel=0.06)
