"""What is exported is what was recorded, as the programs it goes to read it."""

import csv
import math
import sys
from collections import defaultdict

import pytest

from thalweg import record
from thalweg.errors import BadFile, MissingPackage, UnknownName

CURVE = [1.0, 0.5, math.nan, math.inf]


@pytest.fixture
def book(tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        yield book


@pytest.fixture
def run(book):
    """A run with a loss that diverges, an epoch's data, and a note that holds no number."""
    run = book.begin("digits, twice", {"rule": "adam", "lr": 0.1, "betas": [0.9, 0.999]}, seed=3)
    for step, value in enumerate(CURVE):
        run.emit("loss", step, value)
    run.emit("epoch", 1, None, {"train_loss": 0.75, "batch": "all"})
    run.emit("note", 2, None, "the learning rate was halved")
    run.end("finished")
    return run


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _scalars(folder):
    """What TensorBoard's own reader finds: steps and values of each name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_a_table_holds_every_number_in_a_row(book, run, tmp_path):
    done = record.to_csv(book, [run.id], tmp_path / "runs.csv")
    rows = _rows(done.place)
    assert {row["run"] for row in rows} == {run.id}
    columns = defaultdict(list)
    for row in rows:
        columns[row["name"]].append((int(row["step"]), float(row["value"])))
    assert columns.keys() == {"loss", "epoch/train_loss"}
    assert columns["epoch/train_loss"] == [(1, 0.75)]
    assert str(columns["loss"]) == str(list(enumerate(CURVE)))
    assert float(rows[0]["time"]) == book.events(run.id)[0].time


def test_an_export_says_how_much_it_wrote_and_what_it_left_out(book, run, tmp_path):
    for done in (
        record.to_csv(book, None, tmp_path / "runs.csv"),
        record.to_tensorboard(book, None, tmp_path / "board"),
    ):
        assert (done.runs, done.numbers, done.left_out) == (1, 5, {"note": 1})


def test_all_runs_are_exported_where_none_is_named_and_each_once(book, run, tmp_path):
    other = book.begin("digits", {})
    other.emit("loss", 0, 1.0)
    other.flush()
    place = tmp_path / "runs.csv"
    record.to_csv(book, None, place)
    assert {row["run"] for row in _rows(place)} == {run.id, other.id}
    assert record.to_csv(book, [run.id, run.id[:11]], place).numbers == 5
    assert {row["run"] for row in _rows(place)} == {run.id}


def test_tensorboard_reads_every_number_back(book, run, tmp_path):
    record.to_tensorboard(book, None, tmp_path / "board")
    (folder,) = (tmp_path / "board").iterdir()
    assert folder.name == f"digits-twice-{run.id}"
    found = _scalars(folder)
    assert str(found.pop("loss")) == str(list(enumerate(CURVE)))
    assert found == {"epoch/train_loss": [(1, 0.75)]}


def test_tensorboard_shows_when_it_happened_and_the_settings(book, run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    record.to_tensorboard(book, None, tmp_path / "board")
    (folder,) = (tmp_path / "board").iterdir()
    found = EventAccumulator(str(folder)).Reload()
    assert found.Scalars("loss")[0].wall_time == book.events(run.id)[0].time
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hyper = parse_session_start_info_plugin_data(content).hparams
    assert hyper["lr"].number_value == 0.1
    assert hyper["rule"].string_value == "adam"
    assert hyper["betas"].string_value == "[0.9, 0.999]"
    assert "| seed | 3 |" in found.Tensors("settings")[0].tensor_proto.string_val[0].decode()


def test_an_export_that_is_repeated_doubles_nothing(book, run, tmp_path):
    for _ in range(2):
        record.to_tensorboard(book, None, tmp_path / "board")
    (folder,) = (tmp_path / "board").iterdir()
    assert len(list(folder.iterdir())) == 1
    assert len(_scalars(folder)["loss"]) == len(CURVE)


def test_without_tensorboard_the_extra_to_install_is_named(book, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(MissingPackage, match=r"pip install 'thalweg\[tensorboard\]'"):
        record.to_tensorboard(book, None, tmp_path / "board")
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize("export", [record.to_csv, record.to_tensorboard])
def test_a_run_that_does_not_exist_is_refused_before_anything_is_written(
    book, run, tmp_path, export
):
    with pytest.raises(UnknownName):
        export(book, [run.id, "none"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("export", [record.to_csv, record.to_tensorboard])
def test_a_place_that_cannot_be_written_is_refused(book, run, tmp_path, export):
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match="cannot be written"):
        export(book, None, tmp_path / "file" / "out")


@pytest.mark.parametrize("place", [".", "/dev/null"])
def test_a_folder_or_device_is_not_replaced_by_a_table(book, run, place):
    with pytest.raises(BadFile, match="not an ordinary file"):
        record.to_csv(book, None, place)
