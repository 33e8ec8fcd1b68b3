"""MNIST, 70,000 handwritten digits of 28 x 28 pixels, from a local file or from OpenML."""

from thalweg.problems.archive import Archive
from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.problem import Problem
from thalweg.problems.scaling import standardise
from thalweg.problems.splits import as_split, hold_out

_WIDTHS = (784, 200, 10)
_HELD_OUT = 10_000
_ARCHIVE = Archive("MNIST", "mnist.npz", (28, 28), "mnist_784", 10_000, _HELD_OUT)


def load() -> Problem:
    """Return MNIST: 50,000 examples to train on, 10,000 for validation, 10,000 for the test.

    Reads ``mnist.npz`` from the folder named by the environment variable ``THALWEG_DATA``; where
    there is none, asks OpenML for ``mnist_784``, which scikit-learn then keeps on disk. Raises
    BadFile where neither can be had. Source: LeCun, Cortes and Burges, The MNIST database, 1998.
    """
    from torch.nn.functional import cross_entropy

    rest, test = (as_split(*part) for part in _ARCHIVE.read())
    train, validation, test = standardise(*hold_out(rest, _HELD_OUT), test)
    return Problem(
        name="mnist",
        description="MNIST, 28 x 28 pixels, 10 classes; perceptron 784-200-10 with ReLU",
        make_model=perceptron(*_WIDTHS),
        train=train,
        validation=validation,
        test=test,
        loss=cross_entropy,
        batch_size=128,
        epochs=5,
        known=known(*_WIDTHS),
        threads=1,
    )
