"""1,797 handwritten digits of 8 x 8 pixels that ship with scikit-learn: a race in seconds."""

from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.problem import Problem, Split
from thalweg.problems.scaling import standardise
from thalweg.problems.splits import as_split, hold_out

_WIDTHS = (64, 64, 10)
_HELD_OUT = 360
_WHITE = 16


def load() -> Problem:
    """Return the digits: 1,077 examples to train on, 360 for validation, 360 for the test.

    The three parts are the same on every call, with the classes in equal proportion. Source: E.
    Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
    """
    from torch.nn.functional import cross_entropy

    train, validation, test = standardise(*_parts())
    return Problem(
        name="digits",
        description="Handwritten digits, 8 x 8 pixels, 10 classes; perceptron 64-64-10 with ReLU",
        make_model=perceptron(*_WIDTHS),
        train=train,
        validation=validation,
        test=test,
        loss=cross_entropy,
        batch_size=32,
        epochs=20,
        known=known(*_WIDTHS),
        threads=1,
    )


def pixels() -> tuple[Split, ...]:
    """Return the same three parts with pixels from 0 (black) to 1 instead of standardised ones."""
    return tuple(part._replace(inputs=part.inputs / _WHITE) for part in _parts())


def _parts() -> tuple[Split, Split, Split]:
    from sklearn.datasets import load_digits

    rest, test = hold_out(as_split(*load_digits(return_X_y=True)), _HELD_OUT)
    return *hold_out(rest, _HELD_OUT), test
