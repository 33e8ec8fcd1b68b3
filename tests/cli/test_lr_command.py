"""`thalweg lr` answers with a rate and its reasons, and with its exit code."""

import json

import pytest

from commands import check_refused, command_line

FLAT = """
import torch

inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
train = inputs, inputs[:, :1]

def model():
    return torch.nn.Linear(4, 1)

def loss(output, targets):
    return 0 * output.mean()
"""


thalweg = command_line("lr")


def test_an_answer_has_a_rate_an_interval_and_reasons(thalweg):
    code, out, _ = thalweg("digits", "--rule", "sgd", "--updates", "40")
    assert code == 0
    assert out.startswith("learning rate of sgd on digits: ")
    assert "- Range test: " in out
    assert "- Stability: " in out
    assert "- Short runs of 40 updates" in out


def test_programs_get_json(thalweg):
    code, out, _ = thalweg("digits", "--rule", "sgd", "--updates", "40", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["low"] <= found["lr"] <= found["high"]
    assert (found["rule"], found["problem"]) == ("sgd", "digits")


@pytest.mark.parametrize("loss", ["0 * output.mean()", "(output * 0).sum() + 1"])
def test_a_loss_that_no_rate_lowers_ends_with_exit_code_1(thalweg, tmp_path, loss):
    (tmp_path / "flat.py").write_text(FLAT.replace("0 * output.mean()", loss))
    code, out, notices = thalweg("flat.py", "--updates", "20")
    assert (code, out) == (1, "")
    assert "fell at no learning rate" in notices


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean 'digits'?"),
        (["digits", "--rule", "sdg"], "Did you mean 'sgd'?"),
        (["digits", "--updates", "3"], "'3' is not a whole number from 20"),
        (["nothing.py"], "nothing.py"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    check_refused(thalweg(*arguments), message)
