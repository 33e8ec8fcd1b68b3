"""What tests of rules share."""

import pytest
import torch


@pytest.fixture
def leaf():
    """Return a small parameter with a gradient."""
    p = torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3))
    p.grad = torch.linspace(1, -2, 6).reshape(2, 3)
    return p
