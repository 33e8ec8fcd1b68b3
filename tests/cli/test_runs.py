"""`thalweg runs` lists, shows, compares and exports what was recorded, in 80 columns."""

import csv
import math

import pytest

from commands import check_refused, command_line
from thalweg import cli, record

thalweg = command_line("runs")


@pytest.fixture
def ids(tmp_path):
    """Two runs of digits and one of another problem that diverged; their ids, oldest first."""
    with record.open(tmp_path / "thalweg.db") as book:
        return [
            _recorded(book, "digits", {"rule": "adam", "lr": 0.001, "batch": 32}, "finished"),
            _recorded(book, "digits", {"rule": "sgd", "lr": 0.1, "batch": 32}, "interrupted"),
            _recorded(book, "hard", {"rule": "sgd", "lr": 100.0}, "failed", math.nan),
        ]


def _recorded(book, name, hyper, status, loss=0.25):
    run = book.begin(name, hyper)
    for step in range(40):
        run.emit("loss", step, 1.0 / (step + 1))
    run.emit("epoch", 2, loss, {"train_loss": loss / 2, "valid_loss": loss})
    run.emit("note", 1, None, "text")
    run.end(status)
    return run.id


def _row(out, id):
    return next(line for line in out.splitlines() if line.startswith(id[:6])).split()


def _line(out, title):
    """The cells of a line of the comparison, the mark of a difference as the first of them."""
    lines = (line.split() for line in out.splitlines())
    return next(cells for cells in lines if title in cells[:2])


def test_runs_are_listed_newest_first_with_rule_status_epochs_and_losses(thalweg, ids):
    code, out, _ = thalweg()
    assert code == 0
    first = [line[:6] for line in out.splitlines()[1:4]]
    assert first == [id[:6] for id in reversed(ids)]
    row = _row(out, ids[0])
    assert row[3:] == ["digits", "adam", "0.001", "finished", "2", "0.125", "0.25"]
    assert _row(out, ids[2])[-2:] == ["nan", "nan"]
    assert max(map(len, out.splitlines())) <= 80


def test_long_names_give_way_and_numbers_do_not(thalweg, tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        hyper = {"rule": "a_rule_with_a_name_that_goes_on", "lr": 0.00012345}
        id = _recorded(book, "a_problem_with_a_name_that_goes_on", hyper, "interrupted")
    row = _row(thalweg()[1], id)
    assert row[-5:] == ["0.00012345", "interrupted", "2", "0.125", "0.25"]
    assert row[3].endswith("…")
    assert row[4].endswith("…")


def test_the_list_can_be_limited_and_narrowed_to_a_name(thalweg, ids):
    out = thalweg("--limit", "1", "--name", "digits")[1]
    assert ids[1][:6] in out
    assert ids[0][:6] not in out
    assert "1 older run not shown" in out


def test_ids_are_as_long_as_it_takes_to_tell_the_runs_apart(thalweg, tmp_path, monkeypatch):
    names = iter(["abcdefgh0000", "abcdefgh1111"])
    monkeypatch.setattr("secrets.token_hex", lambda length: next(names))
    with record.open(tmp_path / "thalweg.db") as book:
        for _ in range(2):
            book.begin("digits", {})
    assert "abcdefgh0 " in thalweg()[1]


def test_one_run_is_shown_in_full_by_the_beginning_of_its_id(thalweg, ids):
    code, out, _ = thalweg(ids[0][:11])
    assert code == 0
    for title in ("rule", "lr", "seed", "torch", "python", "command"):
        assert len(_line(out, title)) > 1
    assert _line(out, "id") == ["id", ids[0]]
    assert "≠" not in out
    assert "█" in out
    assert "1 → 0.025" in out


def test_runs_side_by_side_mark_the_settings_that_differ(thalweg, ids):
    out = thalweg(*ids)[1]
    assert _line(out, "lr") == ["≠", "lr", "0.001", "0.1", "100"]
    assert _line(out, "rule") == ["≠", "rule", "adam", "sgd", "sgd"]
    assert _line(out, "seed") == ["seed", "0", "0", "0"]
    assert _line(out, "status") == ["status", "finished", "interrupted", "failed"]
    assert _line(out, "loss")[-3:] == ["0.025", "0.025", "0.025"]
    assert max(map(len, out.splitlines())) <= 80


def test_more_runs_than_fit_side_by_side_go_on_below(thalweg, ids, tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        ids += [_recorded(book, "digits", {"lr": 1.0}, "finished") for _ in range(2)]
    out = thalweg(*ids)[1]
    assert sum(line.split()[:1] == ["id"] for line in out.splitlines()) == 2
    assert all(id in out for id in ids)


def test_before_anything_is_recorded_it_says_so_and_makes_no_file(thalweg, tmp_path):
    code, out, _ = thalweg()
    assert code == 0
    assert f"No runs in {tmp_path / 'thalweg.db'} yet" in out
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_the_one_that_is_named(thalweg, ids, tmp_path, monkeypatch):
    elsewhere = tmp_path / "thalweg.db"
    elsewhere.rename(tmp_path / "moved.db")
    assert ids[0][:6] in thalweg("--record", "moved.db")[1]
    monkeypatch.setenv("THALWEG_RECORD", "moved.db")
    assert ids[0][:6] in thalweg()[1]


def test_runs_are_exported_and_what_is_left_out_is_said(thalweg, ids, tmp_path):
    code, out, _ = thalweg(ids[0], "--csv", "runs.csv", "--tensorboard", "board")
    assert code == 0
    assert f"43 numbers of 1 run written to {tmp_path / 'runs.csv'}." in out
    assert "Left out, because they hold no number: 1 × note." in out
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {ids[0]}
    assert [each.name for each in (tmp_path / "board").iterdir()] == [f"digits-{ids[0]}"]


@pytest.mark.parametrize("option", [["runs", "--csv"], ["schedules", "cosine", "--plot"]])
def test_nothing_is_written_over_a_record(option, thalweg, ids, tmp_path, capsys):
    before = (tmp_path / "thalweg.db").read_bytes()
    with pytest.raises(SystemExit) as left:
        cli.main([*option, str(tmp_path / "thalweg.db")])
    assert left.value.code == 2
    assert "it is a database, which would be lost" in capsys.readouterr().err
    assert (tmp_path / "thalweg.db").read_bytes() == before


def test_an_export_without_ids_takes_all_runs_or_those_of_a_name(thalweg, ids):
    assert "of 3 runs" in thalweg("--csv", "runs.csv")[1]
    assert "of 2 runs" in thalweg("--csv", "runs.csv", "--name", "digits")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no run 'none'"),
        (["--record", "missing.db"], "there is no record 'missing.db'"),
        (["--record", "."], "not an ordinary file"),
        (["--csv", "runs.csv"], "there is nothing to export. No runs in"),
        (["--limit", "0"], "'0' is not a whole number"),
        (["none", "--name", "digits"], "leave it out where IDs are"),
    ],
)
def test_a_bad_request_is_refused_in_one_message(thalweg, arguments, message):
    check_refused(thalweg(*arguments), message)


def test_a_name_that_no_run_has_is_said(thalweg, ids):
    code, out, _ = thalweg("--name", "mnist")
    assert code == 0
    assert "No runs of 'mnist'" in out
