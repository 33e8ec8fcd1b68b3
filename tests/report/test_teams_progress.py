"""While workers train, somebody sees speed, loss, lateness, mishaps and who did what."""

import io
from collections import Counter

from rich.console import Console

from teamed import eventful
from thalweg.parallel import Moment, Point, Tally
from thalweg.report import follow_teams
from thalweg.report.teams.progress import PAUSE, Moved, Printed


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def moment(gradients, tally=None, loss=0.5, time=7.0):
    tally = tally or Tally(measured=Counter({0: gradients}))
    return Moment(0, loss, gradients, 32 * gradients, time, 1.0, tally)


def point(gradients, loss=0.25):
    return Point(gradients, 32 * gradients, gradients, 7.0, 0.5, loss, 0.9)


def shown(drawn, width=80):
    text = io.StringIO()
    Console(file=text, width=width).print(drawn)
    return text.getvalue()


def moved(workers=2, gradients=100, unit="seconds"):
    """Return a view with its clock, and what it draws, as text."""
    drawn, clock = [], Clock()
    view = Moved(lambda each: drawn.append(shown(each)), clock)
    view.begins(workers, gradients, 2, unit)
    return view, clock, drawn


def test_where_nothing_moves_the_end_of_each_epoch_is_printed():
    text = io.StringIO()
    with follow_teams(Console(file=text, width=40)) as listener:
        assert isinstance(listener, Printed)
        listener.begins(4, 100, 2, "virtual seconds")
        for gradients in (25, 50, 75, 100):
            listener.hears(moment(gradients))
            listener.sees(point(gradients))
        listener.ends()
    assert text.getvalue().splitlines() == [
        f"4 workers, epoch {epoch} of 2: {examples} examples in 7.0 virtual seconds, loss 0.2500, "
        "accuracy 90.0%"
        for epoch, examples in ((1, "1,600"), (2, "3,200"))
    ]


def test_a_terminal_shows_who_starts_before_anything_is_heard():
    _, _, drawn = moved(workers=3)
    assert drawn == ["Starting 3 workers\n"]


def test_speed_and_time_left_are_those_of_the_last_seconds():
    view, clock, drawn = moved()
    for gradients in (1, 11, 21):
        view.hears(moment(gradients))
        clock.now += 2.0
    assert "21 of 100 gradients" in drawn[-1]
    assert "160 examples/s" in drawn[-1]
    assert "0:00:16 left" in drawn[-1]


def test_it_is_drawn_ten_times_a_second_at_most():
    view, clock, drawn = moved()
    for gradients in range(1, 60):
        view.hears(moment(gradients))
        clock.now += PAUSE / 10
    assert len(drawn) == 1 + 1 + 5


def test_loss_lateness_and_mishaps_are_told():
    view, clock, drawn = moved(workers=2, unit="virtual seconds")
    view.hears(moment(1, loss=3.0))
    view.sees(point(1))
    clock.now += 1
    view.hears(moment(2, eventful(), loss=1.0))
    found = " ".join(drawn[-1].split())
    assert "loss 2.0000 in the last batches, at the last look 0.2500, accuracy 90.0%" in found
    assert "7.0 virtual seconds" in found
    assert "25 updates, half of them at most 1" in found
    assert "applied 37, refused 3, lost 1, restarts 1" in found
    assert "25 gradients" in found


def test_of_many_workers_eight_have_a_bar():
    view, _, drawn = moved(workers=30)
    view.hears(moment(1, Tally(measured=Counter({rank: 10 + rank for rank in range(30)}))))
    lines = drawn[-1].splitlines()
    assert sum(line.startswith("worker ") for line in lines) == 8
    assert lines[-1].split() == ["22", "others", "18", "to", "39", "gradients", "each"]
    assert max(map(len, lines)) <= 80


def test_a_worker_ahead_of_its_share_does_not_leave_the_view():
    view, _, drawn = moved(workers=2, gradients=10)
    view.hears(moment(1, Tally(measured=Counter({0: 9, 1: 1}))))
    bars = [line for line in drawn[-1].splitlines() if line.startswith("worker")]
    assert [line.split()[-2:] for line in bars] == [["9", "gradients"], ["1", "gradients"]]
    assert bars[0].count("━") == 24


def test_on_a_terminal_it_is_taken_away_in_the_end():
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with follow_teams(console) as listener:
        listener.begins(1, 2, 1, "seconds")
        listener.hears(moment(1))
        listener.ends()
    assert "gradients" not in text.getvalue().rpartition("\x1b[2K")[2]
