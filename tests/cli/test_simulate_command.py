"""`thalweg simulate` draws a map, and answers bad requests in one message before it trains."""

import json

import pytest

from commands import check_refused, command_line
from thalweg import parallel
from thalweg.parallel import Downpour

SMALL = ["digits", "--algorithms", "downpour", "--workers", "1,3", "--delays", "0,2"]
SHORT = ["--epochs", "1", "--batch", "256", "--lr", "0.05"]


thalweg = command_line("simulate")


def test_it_writes_what_simulate_finds(thalweg, tmp_path):
    code, out, _ = thalweg(*SMALL, *SHORT, "--out", "map.json")
    assert code == 0
    data = json.loads((tmp_path / "map.json").read_text())
    cells = parallel.simulate(
        "digits", {"downpour": Downpour(lr=0.05)}, (1, 3), (0.0, 2.0), epochs=1, batch=256
    )
    assert [each["loss"] for each in data["cells"]] == [each.loss for each in cells]
    assert f"Page: {tmp_path / 'map.json'}" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean 'digits'?"),
        (["--algorithms", "downpor"], "Did you mean 'downpour'?"),
        (["--workers", "0"], "'0' is not a whole number from 1"),
        (["--workers", "1001"], "not a whole number from 1 to 1,000"),
        (["--delays", "-1"], "'-1' is below 0"),
        (["--delays", "1,soon"], "'soon' is not a finite number"),
        (["--lr", "0"], "'0' is no learning rate above 0"),
        (["--seeds", "0"], "'0' is not a whole number from 1"),
        (["--out", "nowhere/map.html"], "there is no folder"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    check_refused(thalweg(*arguments), message)
