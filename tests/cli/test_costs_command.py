"""`thalweg costs` measures batch sizes on a problem and answers bad requests in one message."""

import pytest
import torch

from commands import check_refused, command_line

thalweg = command_line("costs")


def test_it_shows_a_row_for_each_size_in_80_columns(thalweg):
    threads = torch.get_num_threads()
    code, out, _ = thalweg("digits", "--batch", "all, 64", "--rule", "adam", "--updates", "2")
    assert code == 0
    rows = [line.split() for line in out.splitlines()[2:4]]
    assert rows[0][:3] == ["full", "batch", "1,077"]
    assert rows[1][:2] == ["mini-batch", "64"]
    assert max(map(len, out.splitlines())) <= 80
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean 'digits'?"),
        (["--rule", "sdg"], "Did you mean 'sgd'?"),
        (["--batch", "0"], "'0' is not a whole number from 1"),
        (["--batch", "all,most"], "'most' is not a whole number"),
        (["--batch", ""], "'' is not a whole number"),
        (["--batch", "1078"], "more than the 1,077 examples"),
        (["--updates", "0"], "'0' is not a whole number from 1"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    check_refused(thalweg(*arguments), message)
