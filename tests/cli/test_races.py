"""`thalweg races` lists past races and shows them again; `thalweg runs` is not flooded by them."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from commands import check_refused, command_line
from thalweg import racing, record

MANY = ["sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"]


thalweg = command_line()


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A record with a training, a race of digits, and another race that was interrupted."""
    place = tmp_path_factory.mktemp("raced") / "thalweg.db"
    with record.open(place) as book:
        book.begin("digits", {"rule": "adam", "lr": 0.001}).end("finished")
        result = racing.race(
            "digits", ["sgd", "adam"], trials=1, seeds=2, epochs=1, reference=None, record=book
        )

        def stop(progress):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            racing.race("digits", MANY, trials=3, seeds=4, epochs=1, record=book, on_progress=stop)
    return place, result


@pytest.fixture
def ids(raced, thalweg, tmp_path):
    """Put the record into the folder; return the ids of the training and of both races."""
    Path("thalweg.db").write_bytes(raced[0].read_bytes())
    with record.open() as book:
        return [run.id for run in book.runs(outside="race")]


def test_races_are_listed_newest_first_with_their_terms_and_what_came_out(thalweg, ids, raced):
    code, out, _ = thalweg("races")
    lines = out.splitlines()
    assert code == 0
    assert [line[:6] for line in lines if line[:6] in out and line[:1].strip()][:2] == [
        ids[2][:6], ids[1][:6],
    ]  # fmt: skip
    assert "digits  interrupted" in lines[0]
    assert "6 rules · 3 trials · 4 seeds · 1 epoch" in lines[1]
    assert "digits  finished" in lines[2]
    assert "sgd, adam · 1 trial · 2 seeds · 1 epoch" in lines[3]
    assert raced[1].verdict.split(". ")[0] in " ".join(out.split())
    assert max(map(len, lines)) <= 80


def test_the_list_of_races_can_be_limited(thalweg, ids):
    out = thalweg("races", "--limit", "1")[1]
    assert ids[2][:6] in out
    assert ids[1][:6] not in out
    assert "1 older race not shown (--limit)." in out


def test_listing_races_loads_no_torch(ids):
    code = (
        "import sys\nfrom thalweg import cli\ntry:\n    cli.main(['races'])\n"
        "except SystemExit:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_race_is_shown_again_with_its_page_from_the_record_alone(thalweg, ids, raced, tmp_path):
    code, out, _ = thalweg("races", ids[1][:8], "--out", "again.html")
    assert code == 0
    assert raced[1].verdict.split(". ")[0] in " ".join(out.split())
    assert f"Page: {tmp_path / 'again.html'}" in " ".join(out.split())
    assert (tmp_path / "again.html").stat().st_size > 1_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no run 'none'"),
        (["--record", "missing.db"], "there is no record 'missing.db'"),
        (["--limit", "0"], "'0' is not a whole number"),
        (["--out", "page.html"], "--out writes the page of one race; give its ID."),
        (["a", "--out", "thalweg.db"], "it is a database, which would be lost"),
        (["a", "--out", "missing/page.html"], "there is no folder"),
    ],
)
def test_a_bad_request_is_refused_in_one_message(thalweg, ids, arguments, message):
    check_refused(thalweg("races", *arguments), message)


@pytest.mark.parametrize(
    ("which", "message"), [(0, "is no race, but of the kind 'train'"), (2, "has not ended: ")]
)
def test_what_cannot_be_shown_as_a_race_says_why(thalweg, ids, which, message):
    code, _, notices = thalweg("races", ids[which])
    assert code == 2
    assert message in notices


def test_before_the_first_race_it_says_so(thalweg, tmp_path):
    code, out, _ = thalweg("races")
    assert code == 0
    assert f"No races in {tmp_path / 'thalweg.db'} yet." in " ".join(out.split())


# Among the runs.


def test_a_race_is_one_line_among_the_runs(thalweg, ids):
    code, out, _ = thalweg("runs")
    rows = out.splitlines()[1:4]
    assert code == 0
    assert [row[:6] for row in rows] == [id[:6] for id in reversed(ids)]
    assert rows[1].split()[3:] == ["race", "digits", "2", "rules", "finished", "6", "runs"]
    assert len(out.splitlines()) == 6
    assert max(map(len, out.splitlines())) <= 80


def test_the_runs_of_a_race_are_shown_best_first(thalweg, ids, raced):
    code, out, _ = thalweg("runs", ids[1], "--limit", "3")
    assert code == 0
    assert f"Race {ids[1]} has 6 runs; the 3 with the lowest validation loss first:" in out
    losses = sorted(run.loss for run in raced[1].runs)[:3]
    assert [line.split()[-1] for line in out.splitlines()[2:5]] == [f"{x:.4g}" for x in losses]
    assert max(map(len, out.splitlines())) <= 80


def test_a_race_is_exported_with_its_runs(thalweg, ids):
    out = thalweg("runs", ids[1], "--csv", "race.csv", "--tensorboard", "board")[1]
    assert "of 7 runs" in out
    with Path("race.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["run"] for row in rows}) == 7
    assert sum(row["name"] == "epoch/valid_loss" for row in rows) == 6
    assert len(list(Path("board").iterdir())) == 7


def test_an_export_without_ids_takes_the_runs_of_races_too(thalweg, ids):
    with record.open() as book:
        count = len(book.runs())
    assert count > len(ids)
    assert f"of {count} runs" in thalweg("runs", "--csv", "all.csv")[1]
