"""Logistic regression on words: which of ten speakers says this speech? Few words occur in each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from thalweg.problems import shakespeare
from thalweg.problems.perceptron import guess
from thalweg.problems.problem import Problem, Split
from thalweg.problems.seeded import seeded
from thalweg.problems.splits import hold_out

if TYPE_CHECKING:
    from torch import Tensor, nn

_SPEAKERS = 10
_LONGEST = 100
_HELD_OUT = 200


def load() -> Problem:
    """Return the speeches of tiny Shakespeare's ten most frequent speakers.

    Inputs are the numbers of a speech's first words, int64 (examples, 100), filled up with 0. Words
    that the training set does not have twice are left out. The gradient is sparse: an update
    touches the rows of its batch's words alone. 200 speeches each are for validation and the test.
    """
    from torch.nn.functional import cross_entropy

    speeches, targets = _speeches()
    rest, test = hold_out(Split(_rows(len(targets)), targets), _HELD_OUT)
    train, validation = hold_out(rest, _HELD_OUT)
    numbers = _vocabulary(speeches[row] for row in train.inputs.tolist())
    inputs = _numbered(speeches, numbers)
    return Problem(
        name="sparse_text",
        description="Which of 10 speakers of Shakespeare's? logistic regression on sparse words",
        make_model=logistic_regression(len(numbers) + 1, _SPEAKERS),
        train=train._replace(inputs=inputs[train.inputs]),
        validation=validation._replace(inputs=inputs[validation.inputs]),
        test=test._replace(inputs=inputs[test.inputs]),
        loss=cross_entropy,
        batch_size=16,
        epochs=10,
        known={"parameters": 19_310, **guess(_SPEAKERS)},
        threads=1,
    )


def logistic_regression(words: int, classes: int) -> Callable[[int], nn.Module]:
    """Return ``make_model(seed)`` for word numbers (batch, length) below ``words``; 0 is no word.

    Its weights start at zero, so the seed makes no difference.
    """

    def build() -> nn.Module:
        from torch import nn

        model = nn.EmbeddingBag(words, classes, mode="sum", sparse=True, padding_idx=0)
        nn.init.zeros_(model.weight)
        return model

    return seeded(build)


def _speeches() -> tuple[list[list[str]], Tensor]:
    import torch

    speeches, speakers = shakespeare.speeches(_SPEAKERS)
    words = [re.findall(r"[a-z']+", speech.lower())[:_LONGEST] for speech in speeches]
    return words, torch.tensor(speakers)


def _rows(count: int) -> Tensor:
    import torch

    return torch.arange(count)


def _vocabulary(speeches: Iterable[list[str]]) -> dict[str, int]:
    """Number the words that occur at least twice, the most frequent first, from 1."""
    counts = Counter(word for speech in speeches for word in speech)
    frequent = [word for word, times in counts.most_common() if times > 1]
    return {word: number for number, word in enumerate(frequent, 1)}


def _numbered(speeches: list[list[str]], numbers: dict[str, int]) -> Tensor:
    import torch

    inputs = torch.zeros(len(speeches), _LONGEST, dtype=torch.int64)
    for row, speech in zip(inputs, speeches, strict=True):
        known = [numbers[word] for word in speech if word in numbers]
        row[: len(known)] = torch.tensor(known, dtype=torch.int64)
    return inputs
