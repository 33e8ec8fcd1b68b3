"""Weaves a chapter on each family of rules from the rule files: `python -m docs.chapters`.

It writes docs/rules. Formulas, sources, tables and kernels are taken from the rules; when to use a
rule is written by hand in docs/when-to-use.md.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from thalweg import optim
from thalweg.algebra import Hyperparameter, initial_values, latex
from thalweg.algebra.letters import letter
from thalweg.kernels import kernel_source
from thalweg.kernels.plan import lower
from thalweg.rules import CONVENTIONS, Rule, Transform, catalogue, chain, find, transforms, variants
from thalweg.rules.family import Kin, children, family

DOCS = Path(__file__).parent
FOLDER = DOCS / "rules"

CHAPTERS = {
    "momentum": "Gradient descent and momentum",
    "adaptive": "Adaptive steps",
    "adam": "The Adam family",
    "sign": "Rules of signs",
    "decoupled": "Decoupled weight decay",
    "layerwise": "Layer by layer",
    "delay": "Late gradients",
    "transforms": "Transforms",
}
"""The title of each chapter, by the module of thalweg.rules that it is woven from."""

SHOWN_WITH = {"caution": "momentum"}
"""The rule that a transform is shown with, where plain descent would not show what it does."""

SWITCHES: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in optim.__all__ if name != "Optimizer"),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adam", {"amsgrad": True}),
    *(
        (name, {"decay": decay, "decay_steps": 10_000})
        for name in ("PowerSign", "AddSign")
        for decay in ("linear", "cosine", "restart")
    ),
)
"""Classes of thalweg.optim with the settings that choose between the rules they run."""


# Which rule stands where.


def module_of(chapter: str) -> ModuleType:
    """Return the module of thalweg.rules called *chapter*."""
    return importlib.import_module(f"thalweg.rules.{chapter}")


def home(piece: Rule | Transform) -> str:
    """Return the module whose author wrote a rule or transform: the first that has it."""
    if isinstance(piece, Transform):
        return "transforms"
    return next(name for name in CHAPTERS if getattr(module_of(name), piece.key, None) is piece)


def rules_in(chapter: str) -> list[Rule]:
    """Return the rules of a chapter, simplest first."""
    return [rule for rule in catalogue.values() if home(rule) == chapter]


def variants_of(rule: Rule) -> list[Rule]:
    """Return the variants of a rule: their keys begin with its own."""
    return [each for each in variants.values() if parent(each) is rule]


def parent(variant: Rule) -> Rule:
    """Return the rule that a variant is one of, by the longest key it begins with."""
    fitting = [key for key in catalogue if variant.key.startswith(f"{key}_")]
    return catalogue[max(fitting, key=len)]


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def link(rule: Rule, chapter: str) -> str:
    """Return a link to a rule from a page of *chapter*."""
    place = home(rule if rule.key in catalogue else parent(rule))
    return f"[{rule.name}]({'' if place == chapter else f'{place}.md'}#{slug(rule.name)})"


# What is taken from a rule.


def formula(rule: Rule) -> str:
    """Return the printed formula, and under it how the state begins."""
    begin = ", ".join(f"$`{each}`$" for each in initial_values(rule))
    return joined(f"```math\n{latex(rule)}\n```", begin and f"At the beginning {begin}.")


def source_of(piece: Rule | Transform) -> str:
    """Return the text of a rule or transform as it stands in its file, with functions it calls.

    The decorator is left out: the page says the same in words.
    """
    if isinstance(piece, Rule) and piece.pieces:
        return chained(piece)
    called = {piece.compute, *helpers(piece.compute)}
    texts = map(defined, sorted(called, key=lambda each: each.__code__.co_firstlineno))
    return "\n\n\n".join(texts)


def helpers(function: Callable) -> Iterator[Callable]:
    """Yield the functions of the same file that a function calls, and those that they call."""
    for name in function.__code__.co_names:
        found = function.__globals__.get(name)
        if inspect.isfunction(found) and found.__module__ == function.__module__:
            yield found
            yield from helpers(found)


def defined(function: Callable) -> str:
    """Return a function's source from its def on, without notes to the formatter."""
    text = textwrap.dedent(inspect.getsource(function))
    (tree,) = ast.parse(text).body
    lines = text.rstrip().splitlines()[tree.lineno - 1 :]
    return "\n".join(line.removesuffix("  # fmt: skip") for line in lines)


def chained(rule: Rule) -> str:
    """Return the assignment that makes a chain."""
    text = inspect.getsource(module_of(home(rule)))
    found = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == rule.key
    ]
    return ast.get_source_segment(text, found[0]) or ""


def hyperparameters(known: Iterable[Hyperparameter]) -> str:
    """Return the table of what can be set."""
    rows = [
        f"| `{each.name}` | $`{letter(each.name)}`$ | {short(each.default)} | {legal(each)} "
        f"| {searched(each)} |"
        for each in known
    ]
    head = ["| set by | in the formula | default | legal | searched |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else ""


def short(value: float) -> str:
    """Return a number without needless digits: 1e-8, 0.999, 10000."""
    return re.sub(r"e([-+]?)0*", lambda match: f"e{match[1].strip('+')}", f"{value:g}")


def legal(hyper: Hyperparameter) -> str:
    """Return the legal range."""
    return str(hyper.range).replace("inf", "∞").replace("-", "−")


def searched(hyper: Hyperparameter) -> str:
    """Return the range worth searching and on which scale, or nothing."""
    if hyper.search is None:
        return ""
    low, high = map(short, hyper.search)
    scale = {"log": "log scale", "log1m": "log scale of 1 − value"}.get(hyper.range.scale, "")
    return ", ".join(filter(None, (f"{low} to {high}", scale)))


def new_in(variant: Rule, rule: Rule) -> list[Hyperparameter]:
    """Return what a variant has and its rule has not, or has with another default."""
    known = rule.settings()
    return [h for h in variant.hyperparameters.values() if known.get(h.name) != h.default]


def kernel(rule: Rule) -> str:
    """Return the loop of a rule's CPU kernel."""
    if lower(rule).needs_shapes:
        return (
            "No kernel is made of it: the loops know no axes, so it runs through torch's operators."
        )
    before, head, body = kernel_source(rule).partition("for i in range(count):")
    indent = before[before.rindex("\n") + 1 :]
    return python(textwrap.dedent(indent + head + body).strip())


def kernel_title(rule: Rule) -> str:
    """Return what the loop is called; one that needs sums over elements comes after a pass."""
    passes = ("", ", after a pass for the sums", ", after two passes for the sums")
    return f"the loop of its CPU kernel in float32{passes[len(lower(rule).sums)]}"


def unfolded(title: str, body: str) -> str:
    """Return what opens under a title that is clicked."""
    return f"<details><summary>{title[0].upper()}{title[1:]}</summary>\n\n{body}\n\n</details>"


def origin(piece: Rule | Transform) -> str:
    """Return the paper with a link."""
    place = piece.arxiv and f"[arXiv:{piece.arxiv}](https://arxiv.org/abs/{piece.arxiv})"
    return f"*{'. '.join(filter(None, (piece.paper, place)))}.*" if piece.paper else ""


# Where it runs.


@cache
def faces() -> dict[str, str]:
    """Return for each rule the class of thalweg.optim that runs it, with its switches."""
    found: dict[str, str] = {}
    for name, settings in SWITCHES:
        optimizer = getattr(optim, name)([torch.zeros(1)], **settings)
        run = run_by(optimizer.rule_of(optimizer.param_groups[0]))
        given = [f"{key}={value!r}".replace("'", '"') for key, value in settings.items()]
        found.setdefault(run.key, f"thalweg.optim.{name}({', '.join(['params', *given])})")
    return found


def run_by(whole: Rule) -> Rule:
    """Return the known rule that a class runs, which may add decay to it."""
    known = [each for each in (*catalogue.values(), *variants.values()) if same(each, whole)]
    return known[0] if known else next(each for each in whole.pieces if isinstance(each, Rule))


def same(rule: Rule, other: Rule) -> bool:
    """Tell whether two rules are one tree."""
    return rule.outputs is other.outputs


def usage(rule: Rule) -> str:
    """Return the line of Python that makes an optimizer of a rule."""
    name = parent(rule) if rule.key in variants else rule
    asked = [like for like, each in CONVENTIONS.get(name.key, {}).items() if each is rule]
    if rule.key in faces():
        return f"Run by `{faces()[rule.key]}`."
    if asked:
        return f'Run by `thalweg.Optimizer(params, "{name.key}", like="{asked[0]}")`.'
    return f'Run by `thalweg.Optimizer(params, "{rule.key}")`.'


def conventions(rule: Rule, chapter: str) -> str:
    """Return the table of whose convention is which rule."""
    owners: dict[str, list[str]] = {}
    for like, each in CONVENTIONS.get(rule.key, {}).items():
        meant = "this rule" if each is rule else f"{link(each, chapter)}, `{each.key}`"
        owners.setdefault(meant, []).append(f'`like="{like}"`')
    rows = [f"| {', '.join(likes)} | {meant} |" for meant, likes in owners.items()]
    return "\n".join(["| asked for by | what runs |", "|---|---|", *rows]) if rows else ""


def differing(rule: Rule, chapter: str) -> str:
    """Return where libraries differ: in words, and by whose name which variant runs."""
    bullets = "\n".join(f"- {sentence}" for sentence in rule.differences)
    table = conventions(rule, chapter)
    return joined("**Where libraries differ.**", bullets, table) if bullets or table else ""


# The words written by hand.


@cache
def when() -> Mapping[str, str]:
    """Return the paragraphs of docs/when-to-use.md by the key of their rule or transform."""
    text = (DOCS / "when-to-use.md").read_text(encoding="utf-8")
    found = re.findall(r"^### (\w+)\n+(.*?)(?=\n+#|\n*\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return dict(found)


def advice(piece: Rule | Transform) -> str:
    """Return the paragraph on when to use it."""
    words = f"**When to use it.** {when()[piece.key]}".split()
    return textwrap.fill(" ".join(words), width=100, break_on_hyphens=False)


# The pages.


def joined(*parts: str) -> str:
    """Return the parts that are there, a blank line between them."""
    return "\n\n".join(filter(None, parts))


def python(text: str) -> str:
    """Return a block of Python."""
    return f"```python\n{text}\n```"


def rule_section(rule: Rule, chapter: str) -> str:
    """Return all there is to say of a rule, its variants included."""
    return joined(
        f"## {rule.name}",
        rule.summary,
        origin(rule),
        formula(rule),
        advice(rule),
        python(source_of(rule)),
        usage(rule),
        hyperparameters(rule.hyperparameters.values()),
        differing(rule, chapter),
        unfolded(kernel_title(rule), kernel(rule)),
        *(variant_section(each, rule) for each in variants_of(rule)),
    )


def variant_section(variant: Rule, rule: Rule) -> str:
    """Return what is different about a variant of *rule*."""
    twin = twin_of(variant, rule)
    bullets = variant.differences if variant.differences != (twin or rule).differences else ()
    set_otherwise = hyperparameters(new_in(variant, rule))
    return joined(
        f"### {variant.name}",
        f"The formula of {link(twin, home(rule))}, with other defaults." if twin else "",
        "" if twin else joined(variant.summary, formula(variant)),
        usage(variant),
        "\n".join(f"- {sentence}" for sentence in bullets),
        set_otherwise and f"Beside what {rule.name} has, or with another default:",
        set_otherwise,
        unfolded(
            "the source" if twin else f"the source, and {kernel_title(variant)}",
            joined(python(source_of(variant)), "" if twin else kernel(variant)),
        ),
    )


def twin_of(variant: Rule, rule: Rule) -> Rule | None:
    """Return the rule, or the variant shown before, that is the same but for its defaults."""
    shown = [rule, *variants_of(rule)]
    return next((each for each in shown[: shown.index(variant)] if same(each, variant)), None)


PLACES = {
    "g": "Acts on the gradient, before the rule.",
    "step": "Acts on the step, after the rule.",
    "p_new": "Acts on the new parameter, last of all.",
}


def transform_section(piece: Transform, chapter: str) -> str:
    """Return all there is to say of a transform, shown with a rule."""
    rule = find(SHOWN_WITH.get(piece.key, "sgd"))
    whole = chain(piece, rule)
    order = ", ".join(each.key for each in whole.pieces)
    shared = "".join(f" It reads the rule's `{name}`." for name in piece.signature.shared)
    return joined(
        f"## {piece.name[0].upper()}{piece.name[1:]}",
        piece.summary,
        origin(piece),
        PLACES[piece.subject] + shared + f" With {link(rule, chapter)}, as `chain({order})`:",
        formula(whole),
        advice(piece),
        python(source_of(piece)),
        hyperparameters(piece.signature.hyperparameters.values()),
        unfolded(kernel_title(whole), kernel(whole)),
    )


MARK = """*Woven by `python -m docs.chapters` and compared with a fresh weaving by
`tests/test_chapters.py`; do not edit. [How to read it](README.md#how-to-read-a-chapter).*"""


def chapter_page(chapter: str) -> str:
    """Return a chapter as Markdown."""
    pieces: list[Any] = list(transforms.values()) if chapter == "transforms" else rules_in(chapter)
    section = transform_section if chapter == "transforms" else rule_section
    doc = inspect.getdoc(module_of(chapter)) or ""
    contents = " · ".join(f"[{each.name}](#{slug(each.name)})" for each in pieces)
    sections = [section(each, chapter) for each in pieces]
    return joined(f"# {CHAPTERS[chapter]}", doc, MARK, contents, *sections, neighbours(chapter), "")


def neighbours(chapter: str) -> str:
    """Return links to the chapters before and after, and to the list of all."""
    before = {after: name for name, after in pairwise(CHAPTERS)}
    after = dict(pairwise(CHAPTERS))
    links = ["[All chapters](README.md)"]
    if chapter in before:
        links.insert(0, f"← [{CHAPTERS[before[chapter]]}]({before[chapter]}.md)")
    if chapter in after:
        links.append(f"[{CHAPTERS[after[chapter]]}]({after[chapter]}.md) →")
    return "---\n\n" + " · ".join(links)


INDEX = """# The rules, chapter by chapter

*Woven by `python -m docs.chapters` and compared with a fresh weaving by
`tests/test_chapters.py`; do not edit.*

{chapters}

## How they descend from one another

Each rule hangs from the one whose tree differs least from its own; + and − count the operations
that it has more and less. Nobody drew this: it is computed, as `thalweg rules --family` does.

{tree}

## How to read a chapter

**The formula** is printed from the rule. θ is a parameter, g its gradient, η the learning rate, and
t counts updates from 1. Everything else that carries t is worked out in this update; what carries
t − 1 was kept from the last. All of it is elementwise, but for norms and means: ‖x‖ is the norm of
one tensor, and of every tensor of the step where "all" stands below it; a mean over the "unit" is
over a row of a weight matrix or a filter. Δ is the step that a transform goes on from, and g′ the
gradient it leaves. 𝒩 with (0, 1) is standard normal noise, the same again for the same seed, step
and place.

**The source** is the text of the rule file. Before the `*` stand the gradient, if need be the
parameter, and the state with its beginnings; after it the clock and the hyperparameters. The step
and the new state are returned. Functions above or below it are what it calls in its file.

**The kernel** is what Numba compiles. A trailing underscore marks what is read, and x1, x2 … are
values without a name of their own. Those that are the same for all elements, and sums over
elements, are worked out before the loop, in float64.

**Searched** is the range that a race draws from; any legal value may be set.
"""


def index_page() -> str:
    """Return the page that lists all chapters and draws the family."""
    tree = family(catalogue.values())
    return INDEX.format(
        chapters="\n\n".join(map(listed, CHAPTERS)), tree="\n".join(branches(tree, tree[0]))
    )


def listed(chapter: str) -> str:
    """Return a chapter's entry in the list: its title and its rules in a sentence each."""
    pieces: list[Any] = list(transforms.values()) if chapter == "transforms" else rules_in(chapter)
    lines = [f"- [{p.name}]({chapter}.md#{slug(p.name)}): {p.summary}" for p in pieces]
    return joined(f"## [{CHAPTERS[chapter]}]({chapter}.md)", "\n".join(lines))


def branches(tree: list[Kin], kin: Kin, depth: int = 0) -> Iterator[str]:
    """Yield the family as nested points, from *kin* on."""
    count = f", +{kin.more} −{kin.less}" if kin.parent else ""
    yield f"{'  ' * depth}- {link(kin.rule, '')}{count}"
    for child in children(tree, kin.rule):
        yield from branches(tree, child, depth + 1)


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {"README.md": index_page(), **{f"{each}.md": chapter_page(each) for each in CHAPTERS}}


def main() -> None:
    """Write the pages into docs/rules."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
