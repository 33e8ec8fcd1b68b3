"""While a race runs, somebody sees what is running, how far it is, and the best so far."""

import io
import math

import pytest
from rich.console import Console

from thalweg.racing import Epoch, Progress, Run, Task
from thalweg.report import follow
from thalweg.report.race.progress import PAUSE, Printed, best_so_far, running


def place(phase="trial", rules=("adam", "sgd"), running=46, done=0, best=None):
    return Progress(phase, rules, running, done, 8040, best)


def run(loss, accuracy=0.9, **setting):
    return Run(Task("trial", "adam", setting, 0), (Epoch(1, loss, loss, accuracy),), 1.0)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (place(), "Trials: adam, sgd, 46 side by side"),
        (place("reference trial", ("adamw",), 1), "Trials: adamw"),
        (place("final", tuple("abcdefghij")), "Fresh seeds: 10 rules, 46 side by side"),
        (place("reference final", ("a_rule_whose_name_goes_on_and_on",), 1),
         "Fresh seeds: a_rule_whose_name_goes_on_and_on"),
    ],
)  # fmt: skip
def test_what_is_running_is_named_by_phase_and_rules(shown, words):
    assert running(shown) == words


@pytest.mark.parametrize(
    ("best", "metric", "words"),
    [
        (None, "loss", ""),
        (run(0.1432, lr=0.00316), "loss", "best so far: adam lr 0.00316, validation loss 0.1432"),
        (run(0.1, 0.95), "error", "best so far: adam, validation error 5.0%"),
        (run(0.1, lr=0.1, beta1=0.8), "loss",
         "best so far: adam lr 0.1, beta1 0.8, validation loss 0.1000"),
        (run(math.inf, lr=3.0), "loss", "every run diverged so far"),
    ],
)  # fmt: skip
def test_the_best_is_named_with_its_setting_and_value(best, metric, words):
    assert best_so_far(best, metric) == words


def test_elsewhere_than_in_a_terminal_a_line_is_printed_every_few_seconds():
    out, clock = io.StringIO(), Clock()
    show = Printed(Console(file=out, width=300), "loss", clock)
    for done in range(1000):
        clock.now = done * PAUSE / 250
        show(place(done=done))
    assert [line.split("; ")[1] for line in out.getvalue().splitlines()] == [
        f"{done} of 8,040 epochs" for done in (0, 250, 500, 750)
    ]


def test_another_phase_is_told_at_once():
    out, clock = io.StringIO(), Clock()
    show = Printed(Console(file=out, width=300), "loss", clock)
    for phase in ("trial", "reference trial", "trial", "final", "reference final", "final"):
        show(place(phase))
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == ["Trials", "Fresh seeds"]


def test_a_terminal_has_a_bar_with_the_time_left_that_goes_away():
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    with follow(console) as show:
        show(place(done=4020, best=run(0.1432, lr=0.00316)))
    text = out.getvalue()
    assert "Trials: adam, sgd, 46 side by side" in text
    assert "4,020 of 8,040 epochs" in text
    assert "best so far: adam lr 0.00316, validation loss 0.1432" in text
    assert "━" in text
    assert "-:--:--" in text
    assert text.rstrip("\n").endswith("\x1b[2K")
