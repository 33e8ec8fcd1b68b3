"""The page on the record says what is so: its programs run, and it names every column."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from thalweg import record

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def connection(tmp_path, monkeypatch):
    """A connection to the record that the programs of the page have written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RECORD", raising=False)
    names: dict = {}
    for block in _blocks("python"):
        exec(block, names)
    with closing(sqlite3.connect(record.open().path)) as connection:
        yield connection


def test_the_programs_write_and_export_what_the_page_says(connection, tmp_path, capsys):
    assert connection.execute("SELECT status FROM runs").fetchall() == [("finished",)]
    assert (tmp_path / "runs.csv").read_text().count("\n") == 1 + 100 + 2
    assert (tmp_path / "board").is_dir()


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 38), reason="SQLite has ->> from 3.38 on")
def test_the_queries_find_the_curve_and_the_best_run(connection):
    curve, best = (
        connection.execute(query).fetchall() for query in _blocks("sql")[0].split(";\n\n")
    )
    assert curve == [(step, 1 / (step + 1)) for step in range(100)]
    assert [row[1:] for row in best] == [(3e-4, 0.03)]


def test_every_column_is_explained(connection):
    for table in ("runs", "events"):
        columns = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchall()
        assert len(columns) > 6
        assert all(f"`{name}`" in PAGE for (name,) in columns)
