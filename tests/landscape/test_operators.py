"""Products are those of the dense matrix, for any layer, any form of data and any batches."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from thalweg.landscape import GaussNewton, Hessian, Objective, function, graphs, objective
from thalweg.problems.convolutional import convolutional
from thalweg.problems.perceptron import perceptron
from thalweg.problems.recurrent import CharacterLSTM
from thalweg.problems.sparse_text import logistic_regression
from thalweg.problems.transformer import CharacterTransformer
from thalweg.testing import check_operator


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def classes(count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(2))


def over_letters(output: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(output.flatten(0, 1), targets.flatten())


class Tied(nn.Module):
    """One matrix that is used twice, and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.second = nn.Linear(5, 5)
        self.second.weight = self.first.weight
        self.frozen = nn.Linear(5, 3).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.frozen(self.second(self.first(inputs).tanh()).tanh())


LETTERS = (classes(7, 3, 5), classes(7, 3, 5))
WORDS = (classes(9, 6, 4), classes(3, 6))
IMAGES = (drawn(4, 3, 32, 32), classes(10, 4))
CASES: dict[str, tuple[nn.Module, Callable, tuple[Tensor, Tensor]]] = {
    "perceptron": (perceptron(5, 6, 3)(0), cross_entropy, (drawn(9, 5), classes(3, 9))),
    "convolutions": (convolutional("layer")(0), cross_entropy, IMAGES),
    "batch norm": (convolutional("batch")(0), cross_entropy, IMAGES),
    "lstm": (CharacterLSTM(7, 6), over_letters, LETTERS),
    "transformer": (CharacterTransformer(7, 5, 8, 1), over_letters, LETTERS),
    "bags of words": (logistic_regression(9, 3)(0), cross_entropy, WORDS),
    "tied and frozen": (Tied(), mse_loss, (drawn(8, 5), drawn(8, 3))),
}  # fmt: skip


def made(case: str, *, training: bool = False) -> Objective:
    return objective(*CASES[case], training=training, dtype=torch.float64)


def hessian_of(case: str, training: bool) -> Hessian:
    return Hessian(made(case, training=training))


def gauss_newton_of(case: str, training: bool) -> GaussNewton:
    return GaussNewton(made(case, training=training))


def checks() -> Iterator[Any]:
    for name, (model, *_) in CASES.items():
        for training in (False, True):
            if training and name not in ("convolutions", "batch norm"):
                continue
            curve = made(name, training=training)
            label = f"{name}, {curve.mode}"
            for check in check_operator(
                partial(hessian_of, name, training),
                gradient=curve.gradient, point=curve.point, model=model,
            ):  # fmt: skip
                yield pytest.param(check, id=f"Hessian of {label}: {check}")
            for check in check_operator(partial(gauss_newton_of, name, training), model=model):
                yield pytest.param(check, id=f"Gauss-Newton of {label}: {check}")


@pytest.mark.parametrize("check", list(checks()))
def test_operators_keep_the_contract(check):
    check()


@pytest.mark.parametrize("case", ["perceptron", "tied and frozen"])
def test_the_hessian_is_the_one_autograd_writes_out(case):
    curve = made(case)
    model, loss, (inputs, targets) = CASES[case]
    targets = targets.double() if targets.is_floating_point() else targets

    def value(point: Tensor) -> Tensor:
        frozen = {k: p.double() for k, p in model.named_parameters() if not p.requires_grad}
        state = frozen | curve.layout.split(point)
        return loss(torch.func.functional_call(model, state, (inputs.double(),)), targets)

    expected = torch.autograd.functional.hessian(value, curve.point)
    torch.testing.assert_close(Hessian(curve).dense(), expected, rtol=1e-10, atol=1e-12)


def test_the_gauss_newton_matrix_is_jacobian_curvature_jacobian():
    curve = made("perceptron")
    model, _, (inputs, targets) = CASES["perceptron"]

    def outputs(point: Tensor) -> Tensor:
        return torch.func.functional_call(model, curve.layout.split(point), (inputs.double(),))

    jacobian = torch.autograd.functional.jacobian(outputs, curve.point).flatten(0, 1)
    outer = torch.autograd.functional.hessian(
        lambda z: cross_entropy(z.view(9, 3), targets), outputs(curve.point).flatten()
    )
    expected = jacobian.T @ outer @ jacobian
    torch.testing.assert_close(GaussNewton(curve).dense(), expected, rtol=1e-10, atol=1e-12)


def test_a_plain_function_with_a_loss_of_its_own_has_both_matrices():
    point = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    curve = function(lambda w: torch.stack([w[0] * w[1], w[2] ** 2]), point, loss=torch.sum)
    square = function(lambda w: torch.stack([w[0] * w[1], w[2] ** 2]), point,
                      loss=lambda z: (z * z).sum() / 2)  # fmt: skip
    expected = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 2]], dtype=torch.float64)
    torch.testing.assert_close(Hessian(curve).dense(), expected)
    jacobian = torch.tensor([[-0.7, 0.3, 0], [0, 0, 2.2]], dtype=torch.float64)
    torch.testing.assert_close(GaussNewton(square).dense(), jacobian.T @ jacobian)


INPUTS, TARGETS = drawn(23, 5), classes(3, 23)
FORMS = {
    "a loader": lambda: DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=10),
    "a shuffled loader": lambda: DataLoader(TensorDataset(INPUTS, TARGETS), 10, shuffle=True),
    "a data set": lambda: TensorDataset(INPUTS, TARGETS),
    "arrays": lambda: (INPUTS.numpy(), TARGETS.numpy()),
    "a list of rows": lambda: [(INPUTS[:4], TARGETS[:4]), (INPUTS[4:], TARGETS[4:])],
    "an iterator": lambda: iter([(INPUTS[:20], TARGETS[:20]), (INPUTS[20:], TARGETS[20:])]),
}


@pytest.mark.parametrize("form", FORMS)
def test_ragged_batches_of_any_form_make_the_mean_over_examples(form):
    model = perceptron(5, 6, 3)(0)
    whole = Hessian(objective(model, cross_entropy, (INPUTS, TARGETS), dtype=torch.float64))
    state = torch.get_rng_state()
    parts = objective(model, cross_entropy, FORMS[form](), batch=7, dtype=torch.float64)
    assert torch.equal(torch.get_rng_state(), state)
    v = torch.randn(whole.size, dtype=torch.float64)
    torch.testing.assert_close(Hessian(parts) @ v, whole @ v, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(parts.gradient(), whole.gradient(), rtol=1e-10, atol=1e-12)
    assert parts() == pytest.approx(whole.objective(), rel=1e-12)


@pytest.mark.parametrize("kind", [Hessian, GaussNewton])
def test_products_are_the_same_where_graphs_are_too_large_to_keep(kind, monkeypatch):
    parts = objective(
        perceptron(5, 6, 3)(0), cross_entropy, (INPUTS, TARGETS), batch=7, dtype=torch.float64
    )
    kept = kind(parts)
    monkeypatch.setattr(graphs, "KEPT", 0)
    anew = kind(parts)
    v = torch.randn(parts.size, dtype=torch.float64)
    assert kept._graphs.kept
    assert not anew._graphs.kept
    assert torch.equal(kept @ v, anew @ v)


def test_training_later_moves_neither_the_point_nor_the_products():
    model = convolutional("batch")(0)
    curve = objective(model, cross_entropy, IMAGES)
    v = torch.randn(curve.size)
    before, loss = Hessian(curve) @ v, curve()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(1)
    assert torch.equal(Hessian(curve) @ v, before)
    assert curve() == loss


def test_modes_are_told_apart_and_dropout_is_pinned():
    model = nn.Sequential(nn.Linear(5, 30), nn.ReLU(), nn.Dropout(0.5), nn.Linear(30, 3))
    data = (INPUTS, TARGETS)
    still = objective(model, cross_entropy, data)
    noisy = objective(model, cross_entropy, data, training=True)
    assert (still.mode, noisy.mode) == ("evaluation", "training")
    assert noisy() == noisy() != still()
    assert noisy() != objective(model, cross_entropy, data, training=True, seed=1)()


def test_a_compiled_model_is_looked_at_as_the_model_inside():
    model = perceptron(5, 6, 3)(0)
    whole: Any = torch.compile(model)
    curve, compiled = (objective(m, cross_entropy, (INPUTS, TARGETS)) for m in (model, whole))
    assert list(compiled.layout.shapes) == list(curve.layout.shapes)
    v = torch.randn(curve.size)
    assert torch.equal(Hessian(compiled) @ v, Hessian(curve) @ v)


def test_class_weights_of_a_loss_follow_the_precision():
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    curve = objective(perceptron(5, 6, 3)(0), loss, (INPUTS, TARGETS), dtype=torch.float64)
    assert Hessian(curve).dtype == torch.float64
    assert curve.gradient().dtype == torch.float64
    assert loss.weight is not None
    assert loss.weight.dtype == torch.float32


def test_scipy_finds_the_same_ends():
    from scipy.sparse.linalg import eigsh

    hessian = Hessian(made("perceptron"))
    spectrum = torch.linalg.eigvalsh(hessian.dense())
    found = eigsh(hessian.to_scipy(), k=2, which="BE", return_eigenvectors=False)
    np.testing.assert_allclose(sorted(found), [spectrum[0], spectrum[-1]], rtol=1e-8)


def test_many_vectors_are_multiplied_as_one_by_one():
    hessian = Hessian(made("perceptron"))
    columns = torch.randn(hessian.size, 3, dtype=torch.float64)
    expected = torch.stack([hessian @ column for column in columns.T], 1)
    assert torch.equal(hessian @ columns, expected)
    assert (hessian @ columns[:, :0]).shape == (hessian.size, 0)


def test_a_loss_that_is_linear_has_no_curvature():
    flat = function(lambda w: 3 * w.sum(), torch.ones(4))
    assert not Hessian(flat).dense().any()


def test_losses_carry_the_weight_of_their_examples():
    """Two batches of one and of nine examples count as ten examples."""
    model = nn.Linear(1, 1, bias=False)
    inputs = torch.arange(10.0)[:, None]
    batches = [(inputs[:1], inputs[:1]), (inputs[1:], inputs[1:])]
    hessian = Hessian(objective(model, mse_loss, batches))
    assert float(hessian.dense()) == pytest.approx(2 * float((inputs**2).mean()))
