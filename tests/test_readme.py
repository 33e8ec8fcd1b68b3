"""The README is executed: its code runs, its columns are what the library prints, its links hold.

Blocks marked ``python`` run in order in one namespace, as a reader would type them. The block
marked ``py`` is the kernel's loop, which is shown and not run.
"""

import re
import runpy
import shlex
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest

from thalweg import cli, rules
from thalweg.algebra import latex
from thalweg.algebra.signature import RESERVED
from thalweg.kernels import kernel_source
from thalweg.training import StaleStatistics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
QUICK = {"thalweg rules adam"}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    """The names that the README's python blocks leave behind, run in order."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python"), 1):
        exec(compile(block, f"README.md, python block {number}", "exec"), names)
    return names


def test_it_fits_in_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def test_its_code_runs(namespace: dict[str, Any]) -> None:
    assert len(blocks("python")) == 4
    assert namespace["optimizer"].rule is namespace["whole"]
    averaged, weights = namespace["averaged"][0], namespace["model"].weight
    assert averaged.shape == weights.shape


def first_rule() -> Any:
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[0], "README.md, python block 1", "exec"), names)
    return names["adam"]


def test_its_rule_is_the_one_in_the_library() -> None:
    """Not an equal tree: the same one."""
    assert first_rule().outputs is rules.adam.outputs


def test_its_formula_is_what_the_rule_prints() -> None:
    (shown,) = blocks("math")
    assert shown.strip() == latex(first_rule())


def test_its_kernel_is_what_the_rule_becomes() -> None:
    (shown,) = blocks("py")
    before, head, body = kernel_source(first_rule()).partition("for i in range(count):")
    indent = before[before.rindex("\n") + 1 :]
    assert shown.strip() == textwrap.dedent(indent + head + body).strip()


def test_its_bias_corrections_are_named_as_in_the_kernel() -> None:
    loop = blocks("py")[0]
    assert "m_hat = m / x15" in loop
    assert "v_hat = v / x24" in loop


def test_adamw_is_the_chain_it_says() -> None:
    assert rules.chain(rules.adam, rules.decay).outputs is rules.adamw.outputs


@pytest.mark.parametrize("command", commands())
def test_its_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in arguments)
    elif program == "pip":
        assert arguments == ["install", "."]
    else:
        assert program == "thalweg"
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments if command in QUICK else [*arguments, "--help"])
        assert not caught.value.code
        assert capsys.readouterr().out


def test_the_checks_shown_in_the_docs_hold() -> None:
    """The tests that a reader may paste collect checks by name, and these pass."""
    names: dict[str, Any] = {}
    (block,) = blocks("python", (ROOT / "docs/how-it-is-tested.md").read_text(encoding="utf-8"))
    exec(compile(block, "how-it-is-tested.md", "exec"), names)
    for test in (names["test_rule"], names["test_optimizer"]):
        (mark,) = test.pytestmark
        checks = list(mark.args[1])
        assert checks
        for check in checks:
            test(check)


WRITING = (ROOT / "docs/writing-rules.md").read_text(encoding="utf-8")


def test_the_rules_shown_in_the_docs_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The one refusal among them prints what the page shows."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python", WRITING), 1):
        exec(compile(block, f"writing-rules.md, python block {number}", "exec"), names)
    (shown,) = blocks("text", WRITING)
    assert " ".join(shown.split()) == capsys.readouterr().out.strip()


def test_the_names_a_rule_cannot_use_are_all_listed() -> None:
    assert all(f"`{name}`" in WRITING for name in RESERVED)


STRATEGIES = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")


def test_the_strategies_shown_in_the_docs_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They print what the page says of them, and warn only where it says so."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python", STRATEGIES), 1):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", category=StaleStatistics)
            exec(compile(block, f"strategies.md, python block {number}", "exec"), names)
    early, averages, told, updates, _, lowered, own = capsys.readouterr().out.splitlines()
    assert early.startswith("the validation loss made no progress in 3 epochs")
    assert len(averages.split()) == 2
    assert "call thalweg.training.reestimate(model, train)" in told
    assert updates == "[20, 40, 60, 80, 100]"
    assert float(lowered) < 0.1
    assert own.startswith("the accuracy is 0.9")


def test_the_race_shown_in_the_docs_ends_with_a_verdict_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python", (ROOT / "docs/race.md").read_text(encoding="utf-8"))
    exec(compile(block, "race.md", "exec"), {})
    told = capsys.readouterr().out
    assert "2 seeds are too few to show a difference" in told
    assert {line.split()[0] for line in told.splitlines()[-2:]} == {"SGD", "Adam"}
    assert Path("race.html").exists()


def relative_links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link.partition("#")[0] for link in found if "://" not in link and link[0] != "#"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in relative_links(page) if not (page.parent / link).exists()]
    assert not missing


def numbers(svg: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.?\d*", svg)]


def test_its_picture_is_what_the_script_draws() -> None:
    """Coordinates may differ in their last digit between machines; nothing else may."""
    path = ROOT / "docs" / "valley.svg"
    kept, drawn = path.read_text(encoding="utf-8"), runpy.run_path(str(ROOT / "docs/picture.py"))
    fresh = drawn["picture"]()
    assert re.sub(r"[-\d.]+", "", fresh) == re.sub(r"[-\d.]+", "", kept)
    assert numbers(fresh) == pytest.approx(numbers(kept), abs=0.2)
