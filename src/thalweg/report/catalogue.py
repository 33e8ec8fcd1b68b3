"""The rules on screen: a card for newcomers, the list, and one sheet for each rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from thalweg.algebra import Hyperparameter
    from thalweg.rules import Rule

_COMMANDS = {
    "thalweg race": "every rule on handwritten digits: a table and a page, in under a minute",
    "thalweg train digits": "one training, recorded, that can be killed and resumed",
    "thalweg rules adam": "a rule's source, its formula and the kernel made from it",
    "thalweg --help": "all commands and options",
}


def card(version: str, rules: Iterable[Rule]) -> RenderableType:
    """Return what thalweg is, the names of the rules, and a few commands to try."""
    names = Text(", ".join(rule.key for rule in rules), style="cyan")
    return Group(
        Text.assemble(("thalweg", "bold"), f" {version}: gradient-descent optimizers for PyTorch"),
        Text("An update rule is written once, as the equation in its paper; the rest is derived."),
        "",
        Text("Rules", style="bold"),
        Padding(names, (0, 0, 0, 2)),
        "",
        Text("Try", style="bold"),
        Padding(_commands(), (0, 0, 0, 2)),
    )


def _commands() -> Table:
    drawn = Table.grid(padding=(0, 3))
    drawn.add_column(no_wrap=True, style="cyan")
    for command, purpose in _COMMANDS.items():
        drawn.add_row(command, purpose)
    return drawn


def listing(rules: Iterable[Rule]) -> RenderableType:
    """Return the rules one below the other: key, name, what it does, and the paper."""
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(no_wrap=True, style="cyan")
    drawn.add_column()
    for rule in rules:
        drawn.add_row(rule.key, Text.assemble((rule.name, "bold"), f"  {rule.summary}"))
        drawn.add_row("", Text(_origin(rule), style="dim"))
    return Group(drawn, "", "thalweg rules KEY shows one of them in full.")


def family_tree(rules: Iterable[Rule]) -> RenderableType:
    """Return the computed family of *rules* as a tree, from the first of them."""
    from thalweg.rules.family import children, family

    kin = family(rules)
    drawn = Tree(kin[0].rule.key, style="cyan", guide_style="dim")
    branches = [(drawn, kin[0].rule)]
    for branch, parent in branches:
        for each in children(kin, parent):
            label = Text.assemble(each.rule.key, (f"  +{each.more} -{each.less}", "dim"))
            branches.append((branch.add(label), each.rule))
    note = "+ and -: operations that a rule has more and less than the one it hangs from."
    return Group(drawn, "", note)


def sheet(rule: Rule) -> RenderableType:
    """Return all there is to know of a rule: source, formula, hyperparameters, kernel."""
    return Group(*_sheet(rule))


def _sheet(rule: Rule) -> Iterator[RenderableType]:
    from thalweg.algebra import latex, source
    from thalweg.kernels import kernel_source

    yield Text.assemble((rule.name, "bold"), f"  {rule.summary}")
    yield Text(_origin(rule), style="dim")
    yield from section("Source", code(source(rule), "python"))
    yield from section("Formula (LaTeX)", code(latex(rule), "latex"))
    yield from section("Hyperparameters", _hyperparameters(rule.hyperparameters.values()))
    if rule.differences:
        yield from section("Where libraries differ", _bullets(rule.differences))
    yield from section("CPU kernel, float32", code(kernel_source(rule, "float32"), "python"))


def _origin(rule: Rule) -> str:
    return f"{rule.paper}, arXiv:{rule.arxiv}" if rule.arxiv else rule.paper


def section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    """Yield a title with an empty line above it and what it stands over."""
    yield ""
    yield Text(title, style="bold underline")
    yield body


def code(text: str, language: str) -> RenderableType:
    """Return source text in the colours of its language."""
    return Syntax(text, language, background_color="default", word_wrap=True)


def _bullets(sentences: Iterable[str]) -> RenderableType:
    drawn = Table.grid(padding=(0, 1))
    for sentence in sentences:
        drawn.add_row("•", sentence)
    return drawn


def _hyperparameters(each: Iterable[Hyperparameter]) -> RenderableType:
    drawn = Table.grid("name", "default", "legal", "search", padding=(0, 3))
    drawn.add_row(*(Text(name, style="dim") for name in ("name", "default", "legal", "searched")))
    for hyper in each:
        drawn.add_row(Text(hyper.name, style="cyan"), f"{hyper.default:g}", *_ranges(hyper))
    return drawn


def _ranges(hyper: Hyperparameter) -> tuple[Text, Text]:
    searched = "-" if hyper.search is None else "{:g} to {:g}".format(*hyper.search)
    return Text(str(hyper.range)), Text(searched)
