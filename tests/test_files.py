"""A file is replaced whole or not at all, whatever fails on the way."""

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from thalweg import files
from thalweg.errors import BadFile


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    place = tmp_path / "file"
    for content in (b"first", b"", b"a\r\nb\0"):
        files.replace(place, content)
        assert place.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_a_path_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.replace("file", b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_keeps_the_old_file_and_leaves_no_litter(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"old")

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space left"):
        files.replace(place, b"new")
    assert place.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("place", ["missing/file", "folder", "x" * 300])
def test_a_place_that_can_hold_no_file_is_an_os_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"No such file|s a directory|too long"):
        files.replace(tmp_path / place, b"new")
    assert os.listdir(tmp_path) == ["folder"]


def refuse_to_flush(folder: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the flush of *folder* fail with *code*, and that of files alone."""
    flush, its = os.fsync, os.stat(folder)

    def refuse(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), its):
            raise OSError(code, os.strerror(code))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_folder_that_no_flush_is_known_for_is_left_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_flush(tmp_path, errno.EINVAL, monkeypatch)
    files.replace(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="only POSIX flushes folders")
def test_a_disk_that_breaks_as_the_folder_is_flushed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_flush(tmp_path, errno.EIO, monkeypatch)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.replace(tmp_path / "file", b"new")


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    files.replace(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_others_may_read_it_as_the_mask_of_the_process_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_reader_beside_two_writers_sees_one_whole_content(tmp_path: Path) -> None:
    place, contents = tmp_path / "file", [b"a" * 100_000, b"b" * 70_000]
    files.replace(place, contents[0])

    def write(content: bytes) -> None:
        for _ in range(20):
            files.replace(place, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert place.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_it_needs_nothing_of_the_package_but_its_errors() -> None:
    code = "import sys, thalweg.files; print(*(m for m in sys.modules if m.startswith('thalweg')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["thalweg", "thalweg.errors", "thalweg.files"]


def test_what_cannot_be_written_is_told_with_its_place_and_reason(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"missing/file' cannot be written: No such file"):
        files.write(tmp_path / "missing" / "file", b"new")


def test_a_database_is_never_replaced(tmp_path: Path) -> None:
    place = tmp_path / "thalweg.db"
    with closing(sqlite3.connect(place)) as book:
        book.execute("CREATE TABLE runs (id)")
    before = place.read_bytes()
    with pytest.raises(FileExistsError, match="a database, which would be lost"):
        files.replace(place, b"a page")
    assert place.read_bytes() == before
