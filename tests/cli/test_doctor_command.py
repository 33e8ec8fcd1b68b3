"""`thalweg doctor` examines a problem, prints pages, and answers with its exit code."""

import json

import pytest

from commands import check_refused, command_line

thalweg = command_line("doctor")


def test_a_healthy_problem_ends_with_exit_code_0(thalweg):
    code, out, _ = thalweg("digits", "--epochs", "2")
    assert out.startswith("healthy")
    assert "training loss" in out
    assert "error" not in out.lower()
    assert code == 0


def test_findings_are_drawn_and_written_to_a_page(thalweg, tmp_path):
    code, out, notices = thalweg(
        "digits", "--rule", "sgd", "--lr", "1000", "--epochs", "1", "--html", "found.html"
    )
    assert code == 1
    assert "█" in out or any("\u2801" <= letter <= "\u28ff" for letter in out)
    assert max(map(len, out.splitlines())) <= 80
    assert f"Page: {tmp_path / 'found.html'}" in notices
    assert "sgd on digits" in (tmp_path / "found.html").read_text("utf-8")


def test_findings_end_with_exit_code_1_and_are_json_for_programs(thalweg):
    code, out, _ = thalweg("digits", "--rule", "sgd", "--lr", "1000", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["healthy"] is False
    assert found["problem"] == "digits"
    assert found["findings"][0]["severity"] == "error"


def test_a_code_prints_its_page(thalweg):
    code, out, _ = thalweg("gd301")
    assert code == 0
    assert out.startswith("# GD301: dead ReLU\n\n## What it finds")
    assert "`dead = 0.7`" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean 'digits'?"),
        (["GD999"], "There is no check 'GD999'"),
        (["digits", "--rule", "sdg"], "Did you mean 'sgd'?"),
        (["digits", "--lr", "fast"], "'fast' is not a finite number"),
        (["nothing.py"], "nothing.py"),
        (["GD301", "--json"], "takes no --json"),
        (["gd301", "--html", "found.html"], "takes no --html"),
        (["GD301", "--lr", "0", "--epochs", "2"], "takes no --lr, --epochs"),
        (["digits", "--html", "nowhere/found.html"], "there is no folder"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    check_refused(thalweg(*arguments), message)


def test_a_training_that_fails_ends_with_exit_code_2(thalweg, tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN)
    code, out, notices = thalweg("mine.py")
    assert code == 2
    assert "of my own" in notices
    assert out == ""


BROKEN = """
import torch
from torch import nn

class Broken(nn.Linear):
    calls = 0

    def forward(self, inputs):
        self.calls += 1
        if self.calls > 5:
            raise RuntimeError("a failure of my own")
        return super().forward(inputs)

def model(seed=0):
    return Broken(4, 2)

inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
train = inputs, (inputs[:, 0] > 0).long()
loss = nn.functional.cross_entropy
"""
