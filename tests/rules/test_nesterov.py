"""Nesterov's literal form, gradient at the look-ahead point, walks with the reformulated one."""

import numpy as np
import torch

import thalweg

LR, MU, STEPS = 0.02, 0.9, 60
A = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
START = torch.tensor([1.5, -2.0], dtype=torch.float64)


def loss(theta: torch.Tensor) -> torch.Tensor:
    """Return a loss that is not quadratic, so that gradients differ from point to point."""
    return 0.5 * theta @ A @ theta + torch.sin(3 * theta).sum()


def literal() -> list[np.ndarray]:
    """Return theta - mu v after each step v <- mu v + lr grad(theta - mu v), theta <- theta - v."""
    theta, v = START.clone(), torch.zeros_like(START)
    path = []
    for _ in range(STEPS):
        ahead = (theta - MU * v).requires_grad_()
        (g,) = torch.autograd.grad(loss(ahead), ahead)
        v = MU * v + LR * g
        theta = theta - v
        path.append((theta - MU * v).numpy())
    return path


def reformulated() -> list[np.ndarray]:
    """Return the parameters of the optimizer, whose closure takes the gradient where they stand."""
    p = torch.nn.Parameter(START.clone())
    optimizer = thalweg.optim.SGD([p], lr=LR, momentum=MU, nesterov=True)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(p)
        value.backward()
        return value

    path = []
    for _ in range(STEPS):
        optimizer.step(closure)
        path.append(p.detach().numpy().copy())
    return path


def test_both_forms_are_one_path_under_the_change_of_variables():
    """phi = theta - mu v, for constant lr and mu."""
    theirs, ours = np.array(literal()), np.array(reformulated())
    travelled = np.abs(np.diff(ours, axis=0)).sum()
    assert np.abs(theirs - ours).max() <= 1e-12 * travelled
