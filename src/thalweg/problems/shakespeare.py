"""Tiny Shakespeare, a megabyte of the plays: its text, its characters, and who says what."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg import files
from thalweg.errors import BadFile
from thalweg.problems.archive import local, looked
from thalweg.problems.problem import Split

if TYPE_CHECKING:
    from torch import Tensor

_FILE = "tinyshakespeare.txt"
_ADDRESS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_LENGTH = 1_115_394


def text() -> str:
    """Return the text, 1,115,394 characters.

    Reads ``tinyshakespeare.txt`` from the folder named by THALWEG_DATA; where there is none, the
    copy kept beside scikit-learn's data; where there is none, downloads it and keeps it there.
    Raises BadFile where it cannot be had or is damaged. Source: A. Karpathy, char-rnn, 2015.
    """
    path = local(_FILE) or _kept()
    try:
        found = path.read_bytes().decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    if len(found) != _LENGTH:
        raise _damaged(path, f"it has {len(found):,} characters, expected {_LENGTH:,}")
    return found


def characters(context: int) -> tuple[Split, Split, Split]:
    """Return train, validation and test of next-character prediction.

    Inputs and targets are int64 (examples, ``context``), the 65 characters numbered in
    their own order, the targets one ahead. The first 90 % of the text is to train on, and 5 % each
    for validation and the test.
    """
    import torch

    whole = text()
    order = {letter: index for index, letter in enumerate(sorted(set(whole)))}
    codes = torch.tensor([order[letter] for letter in whole])
    bounds = [0, round(0.9 * len(codes)), round(0.95 * len(codes)), len(codes)]
    train, validation, test = (_windows(codes[slice(*part)], context) for part in pairwise(bounds))
    return train, validation, test


def speeches(speakers: int) -> tuple[list[str], list[int]]:
    """Return the different speeches of the most frequent speakers, and who says each.

    Speakers are numbered by how often they speak, the most frequent first. A speech that several of
    them say counts for the first who does.
    """
    scenes = [part.partition(":\n") for part in text().split("\n\n")]
    spoken = {speech.strip(): name for name, _, speech in reversed(scenes) if speech.strip()}
    frequent = [name for name, _ in Counter(spoken.values()).most_common(speakers)]
    chosen = [(speech, name) for speech, name in spoken.items() if name in frequent]
    return [speech for speech, _ in chosen], [frequent.index(name) for _, name in chosen]


def _windows(codes: Tensor, context: int) -> Split:
    count = (len(codes) - 1) // context
    inputs = codes[: count * context].reshape(count, context)
    return Split(inputs, codes[1 : count * context + 1].reshape(count, context))


def _kept() -> Path:
    """Return the copy beside scikit-learn's data, downloaded if need be."""
    from sklearn.datasets import get_data_home

    path = Path(get_data_home(), "thalweg", _FILE)
    if not path.is_file():
        _download(path)
    return path


def _download(path: Path) -> None:
    from urllib.request import urlopen

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(_ADDRESS, timeout=30) as answer:
            files.replace(path, answer.read())
    except OSError as error:
        raise BadFile(
            f"tiny Shakespeare was not found: {looked(_FILE)}, and it could not be downloaded "
            f"({error}). Set THALWEG_DATA to a folder that holds {_FILE}, or connect to a network."
        ) from error


def _damaged(path: Path, reason: str) -> BadFile:
    return BadFile(
        f"{path} cannot be used as tiny Shakespeare: {reason}. Remove it, so that it is downloaded "
        "again, or put an intact one in its place."
    )
