"""What is flushed stays, whoever is killed and whoever else writes; other files are left alone."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from thalweg import record
from thalweg.errors import BadFile, BadValue
from thalweg.record import store

ENDLESS = 10**9


@pytest.fixture
def path(tmp_path):
    return tmp_path / "thalweg.db"


@pytest.fixture
def written(path):
    """A record with one finished run, closed."""
    with record.open(path) as book, book.begin("digits", {}) as run:
        run.emit("loss", 0, 1.0)
    return path


def _writer(path, first, last, *resumed):
    program = Path(__file__).with_name("writer.py")
    command = [sys.executable, str(program), str(path), str(first), str(last), *resumed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _run_sql(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def _connection(book):
    return book._store._connection


def _steps(path):
    with record.open(path) as book:
        return {
            run.id: [event.step for event in book.events(run.id, "loss")] for run in book.runs()
        }


def _killed_in_the_middle(writer, chance):
    """Kill a writer after some flush of its own, at no particular moment; return its last word."""
    said = [writer.stdout.readline() for _ in range(2 + chance.randrange(8))]
    writer.kill()
    said += writer.stdout.readlines()
    writer.wait()
    complete = [line for line in said[1:] if line.endswith("\n")]
    return said[0].strip(), int(complete[-1])


def test_what_was_flushed_outlives_kill_and_is_there_once(path):
    chance = random.Random(0)
    run, flushed = _killed_in_the_middle(_writer(path, 0, ENDLESS), chance)
    for _ in range(7):
        checkpoint = max(0, flushed - chance.randrange(40))
        _, flushed = _killed_in_the_middle(_writer(path, checkpoint, ENDLESS, run), chance)
        with record.open(path) as book:
            assert book.find(run).status == "died"
            events = book.events(run, "loss")
        assert [event.step for event in events] == list(range(len(events)))
        assert all(event.value == event.step / 7 for event in events)
        assert len(events) > flushed
        assert _run_sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_several_processes_begin_and_write_one_record_and_lose_nothing(path):
    writers = [_writer(path, 0, 1999) for _ in range(4)]
    seen = []
    while any(writer.poll() is None for writer in writers):
        seen.append(sum(map(len, _steps(path).values())))
    ids = {writer.stdout.readline().strip() for writer in writers}
    for writer in writers:
        writer.stdout.close()
        assert writer.returncode == 0
    assert _steps(path) == {id: list(range(2000)) for id in ids}
    assert len(ids) == 4
    assert seen == sorted(seen)
    assert any(0 < total < 8000 for total in seen), "it was never read while it was written"
    assert _run_sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_threads_take_turns(path):
    with record.open(path) as book:

        def write():
            run = book.begin("digits", {})
            for step in range(50):
                run.emit("loss", step, 0.0)
                run.flush()

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(steps) for steps in _steps(path).values()] == [50] * 4


def test_a_run_that_another_process_writes_cannot_be_resumed_here(path):
    writer = _writer(path, 0, ENDLESS)
    run = writer.stdout.readline().strip()
    try:
        with record.open(path) as book:
            assert book.find(run).status == "running"
            with pytest.raises(BadValue, match=f"still being written by process {writer.pid}"):
                book.resume(run)
    finally:
        writer.kill()
        writer.communicate()
    with record.open(path) as book:
        book.resume(run).end("finished")


def test_a_run_of_another_machine_is_not_declared_dead(path):
    with record.open(path) as book:
        book.begin("digits", {})
        _run_sql(path, "UPDATE runs SET process = json_set(process, '$.host', 'elsewhere')")
        assert book.runs()[0].status == "running?"


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
@pytest.mark.parametrize("act", ["runs", "begin"])
def test_a_file_that_is_no_record_is_refused_and_left_as_it_is(path, content, act):
    path.write_bytes(content)
    with record.open(path) as book, pytest.raises(BadFile, match="Name another file"):
        book.runs() if act == "runs" else book.begin("digits", {})
    assert path.read_bytes() == content


@pytest.mark.parametrize("act", ["runs", "begin"])
def test_another_database_is_refused_and_left_as_it_is(path, act):
    _run_sql(path, "CREATE TABLE runs (id)")
    content = path.read_bytes()
    with record.open(path) as book, pytest.raises(BadFile, match="not a record of thalweg"):
        book.runs() if act == "runs" else book.begin("digits", {})
    assert path.read_bytes() == content


def test_a_record_of_a_newer_schema_is_refused(written):
    _run_sql(written, f"PRAGMA user_version = {store.VERSION + 1}")
    with record.open(written) as book, pytest.raises(BadFile, match="Install a newer thalweg"):
        book.runs()


def test_an_empty_file_is_an_empty_record(path):
    path.touch()
    with record.open(path) as book:
        assert book.runs() == []
        assert path.stat().st_size == 0
        book.begin("digits", {})
        assert len(book.runs()) == 1


def test_a_damaged_record_says_how_to_save_what_can_be_read(written):
    content = bytearray(written.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    written.write_bytes(content)
    with record.open(written) as book, pytest.raises(BadFile, match=r"damaged.*\.recover"):
        book.runs()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    book = record.open(tmp_path / "no" / "thalweg.db")
    with book, pytest.raises(BadFile, match="there is no folder"):
        book.begin("digits", {})


@pytest.mark.parametrize("place", [".", os.devnull])
def test_a_folder_or_device_is_refused(place):
    with record.open(place) as book, pytest.raises(BadFile, match="not an ordinary file"):
        book.begin("digits", {})


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(BadFile, match="name another one"):
        record.open("a\0b")


def test_a_full_disk_loses_nothing_and_the_next_flush_goes_on(path):
    with record.open(path) as book:
        run = book.begin("digits", {})
        run.emit("loss", 0, 0.0)
        run.flush()
        disk = _connection(book)
        ((pages,),) = disk.execute("PRAGMA page_count")
        disk.execute(f"PRAGMA max_page_count = {pages}")
        for step in range(1, 2000):
            run.emit("loss", step, 0.0)
        with pytest.raises(BadFile, match="the disk is full. Free some space"):
            run.flush()
        assert len(book.events(run.id)) == 1
        disk.execute("PRAGMA max_page_count = 100000")
        run.flush()
        assert len(book.events(run.id)) == 2000


def test_a_file_that_stays_locked_becomes_an_error_and_is_used_once_it_is_free(
    written, monkeypatch
):
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    monkeypatch.setattr(store, "WAIT", 0.05)
    with closing(sqlite3.connect(written, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with record.open(written) as book:
            with pytest.raises(BadFile, match="another process has kept it locked"):
                book.begin("digits", {})
            other.execute("ROLLBACK")
            book.begin("digits", {})
            assert len(book.runs()) == 2


@pytest.mark.parametrize("replaced", [False, True])
def test_a_record_that_was_removed_under_its_writer_is_not_written_in_vain(path, replaced):
    book = record.open(path)
    run = book.begin("digits", {})
    path.rename(path.with_name("aside"))
    if replaced:
        path.touch()
    run.emit("loss", 0, 1.0)
    with pytest.raises(BadFile, match="removed or replaced"):
        run.flush()
    path.with_name("aside").replace(path)
    run.flush()
    assert len(book.events(run.id)) == 1
    book.close()


def test_an_error_is_not_hidden_by_a_record_that_was_removed(path):
    book = record.open(path)
    run = book.begin("digits", {})
    path.rename(path.with_name("aside"))
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError
    path.with_name("aside").replace(path)
    book.close()


def test_a_record_in_a_read_only_folder_can_be_read_but_not_written(written, monkeypatch):
    written.chmod(0o444)
    written.parent.chmod(0o555)
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)
    try:
        with record.open(written) as book:
            assert len(book.runs()) == 1
            with pytest.raises(BadFile, match="a folder you can write to"):
                book.begin("digits", {})
        assert [each.name for each in written.parent.iterdir()] == [written.name]
    finally:
        written.parent.chmod(0o755)


def test_a_folder_that_may_not_be_looked_into_is_refused(path, monkeypatch):
    def forbid(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(Path, "is_dir", forbid)
    with record.open(path) as book, pytest.raises(BadFile, match="a folder you can write to"):
        book.runs()


def test_a_file_system_without_shared_memory_is_refused(path, monkeypatch):
    class Elsewhere(sqlite3.Connection):
        def execute(self, statement, *values):
            return super().execute(statement.replace("= WAL", "= DELETE"), *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Elsewhere))
    with record.open(path) as book, pytest.raises(BadFile, match="Name a file on a local disk"):
        book.begin("digits", {})


def test_every_transaction_is_on_the_disk_before_it_returns(written):
    with record.open(written) as book:
        book.runs()
        ((level,),) = _connection(book).execute("PRAGMA synchronous")
        ((journal,),) = _connection(book).execute("PRAGMA journal_mode")
    assert (level, journal) == (2, "wal")


class Interleaved:
    """A connection after whose first look another process makes a record of the empty file."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.path, self.looked = path, False

    def execute(self, statement: str) -> list[tuple]:
        found = self.connection.execute(statement).fetchall()
        if found and not self.looked:
            self.looked = True
            with suppress(sqlite3.OperationalError):
                store._create(
                    sqlite3.connect(self.path, timeout=0, isolation_level=None), self.path
                )
        return found


def test_a_record_that_is_being_made_is_not_taken_for_another_database(path) -> None:
    assert not store._is_record(Interleaved(path), path)  # type: ignore[arg-type]
