"""The command line answers in plain words, and its exit code says how it went."""

import os
import subprocess
import sys

import pytest

from commands import command_line
from thalweg import cli
from thalweg.rules import catalogue

thalweg = command_line()


def _python(code, *arguments):
    command = [sys.executable, *code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_without_arguments_a_card_names_every_rule_and_fits_one_screen(thalweg):
    code, out, _ = thalweg()
    assert code == 0
    assert all(key in out for key in catalogue)
    assert "thalweg race" in out
    assert len(out.splitlines()) <= 24


def test_python_dash_m_shows_the_same_card(thalweg):
    assert _python(["-m", "thalweg"]) == thalweg()[1]


def test_neither_the_card_nor_the_lists_import_anything_slow():
    code = """
import sys
from thalweg import cli
for arguments in ([], ["rules"], ["schedules"], ["runs"], ["races"]):
    try:
        cli.main(arguments)
    except SystemExit:
        pass
print({"torch", "sklearn", "numpy", "numba", "plotly"} & set(sys.modules))
"""
    assert _python(["-c", code]).splitlines()[-1] == "set()"


def test_rules_lists_every_rule_with_its_paper(thalweg):
    words = " ".join(thalweg("rules")[1].split())
    for rule in catalogue.values():
        assert f"{rule.key} {rule.name} " in words
        assert rule.paper in words


def test_a_rule_is_shown_with_source_formula_ranges_and_kernel(thalweg):
    code, out, _ = thalweg("rules", "adam")
    assert code == 0
    for part in ("def adam(", r"\theta_t &=", "Kingma", "[0, 1)", "0.0001 to 0.1", "Keras"):
        assert part in out
    assert "exp_avg_sq" in out.partition("CPU kernel, float32")[2]


def test_a_schedule_is_shown_with_formula_endpoints_and_drawing(thalweg, tmp_path):
    code, out, _ = thalweg("schedules", "one_cycle", "--plot", "cycle.html")
    words = " ".join(out.split())
    assert code == 0
    assert "peak = maximum(rise * steps - 1, 1)" in out
    assert "update 1 uses 0.004 and update 1,000, the last, 4e-07" in words
    assert "⣀" in out
    assert f"Page: {tmp_path / 'cycle.html'}" in words
    assert "one_cycle(0.1, steps=1000)" in (tmp_path / "cycle.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rules", "adm"], "Did you mean"),
        (["schedules", "cosin"], "Did you mean 'cosine'?"),
        (["schedules", "--plot", "all.html"], "name the schedule"),
        (["race", "--bogus"], "--bogus"),
        (["rase"], "rase"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    code, out, notices = thalweg(*arguments)
    assert code == 2
    assert message in notices
    assert "Traceback" not in notices
    assert out == ""


def test_a_damaged_data_file_is_answered_without_a_traceback(thalweg, tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").write_text("not an archive")
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path))
    code, _, notices = thalweg("race", "mnist")
    assert code == 2
    assert f"{tmp_path / 'mnist.npz'} cannot be used as MNIST" in notices
    assert "Traceback" not in notices


def test_an_error_that_is_not_ours_keeps_its_traceback(thalweg, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("a defect, not a refusal")

    monkeypatch.setattr("thalweg.report.listing", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["rules"])


def test_the_version_is_printed(thalweg):
    from thalweg import __version__

    assert thalweg("--version") == (0, __version__ + "\n", "")


def test_output_that_cannot_be_written_is_said_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", "rules", "adam"],
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
