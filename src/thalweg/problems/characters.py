"""Which character of Shakespeare comes next? An LSTM and a transformer are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.problems import shakespeare
from thalweg.problems.perceptron import guess
from thalweg.problems.problem import Problem
from thalweg.problems.seeded import seeded

if TYPE_CHECKING:
    from torch import Tensor

_CONTEXT = 64
_LETTERS = 65


def load_lstm() -> Problem:
    """Return next-character prediction on tiny Shakespeare by an LSTM of 128 units."""
    from thalweg.problems.recurrent import CharacterLSTM

    return Problem(
        name="char_lstm",
        description="The next character of tiny Shakespeare; LSTM of 128 units",
        make_model=seeded(lambda: CharacterLSTM(_LETTERS)),
        batch_size=32,
        epochs=2,
        known={"parameters": 148_801, **guess(_LETTERS)},
        **_data(),
    )


def load_transformer() -> Problem:
    """Return next-character prediction on tiny Shakespeare by a transformer of two layers."""
    from thalweg.problems.transformer import CharacterTransformer

    return Problem(
        name="char_transformer",
        description="The next character of tiny Shakespeare; transformer of 2 layers, width 64",
        make_model=seeded(lambda: CharacterTransformer(_LETTERS, _CONTEXT)),
        batch_size=32,
        epochs=2,
        known={"parameters": 112_577, **guess(_LETTERS)},
        **_data(),
    )


def cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (..., classes) with classes (...), in nats."""
    from torch.nn import functional

    return functional.cross_entropy(output.flatten(0, -2), targets.flatten())


def _data() -> dict[str, Any]:
    train, validation, test = shakespeare.characters(_CONTEXT)
    parts = {"train": train, "validation": validation, "test": test}
    return {**parts, "loss": cross_entropy, "threads": 1}
