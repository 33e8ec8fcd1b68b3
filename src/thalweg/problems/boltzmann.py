"""A restricted Boltzmann machine learns from data minus what it dreams: no backpropagation."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear, softplus

from thalweg.errors import BadType, BadValue


class Boltzmann(nn.Module):
    """Visible and hidden units that are on or off, connected between the two layers only.

    Called with visible units (batch, visible), from 0 to 1, it returns the logits of their
    reconstruction. The buffer ``chains`` (chains, visible) holds the dreams of persistent
    contrastive divergence, so that a checkpoint holds them too.
    """

    chains: Tensor

    def __init__(self, visible: int, hidden: int, chains: int = 32) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, visible))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("chains", torch.rand(chains, visible).round())

    def forward(self, units: Tensor) -> Tensor:
        """Go up to the hidden units' probabilities and down again."""
        return self.downward(self.upward(units).sigmoid())

    def upward(self, units: Tensor) -> Tensor:
        """Return the logits of the hidden units, given visible ones."""
        return linear(units, self.weight, self.hidden_bias)

    def downward(self, units: Tensor) -> Tensor:
        """Return the logits of the visible units, given hidden ones."""
        return linear(units, self.weight.T, self.visible_bias)

    def free_energy(self, units: Tensor) -> Tensor:
        """Return (batch,) minus the logarithm of the unnormalized probability of visible units."""
        return -(units @ self.visible_bias) - softplus(self.upward(units)).sum(1)

    @torch.no_grad()
    def dream(self, units: Tensor, steps: int) -> Tensor:
        """Return visible units (batch, visible) after so many steps of Gibbs sampling."""
        for _ in range(steps):
            hidden = torch.bernoulli(self.upward(units).sigmoid())
            units = torch.bernoulli(self.downward(hidden).sigmoid())
        return units


@dataclass(frozen=True)
class ContrastiveDivergence:
    """The loss of a Boltzmann machine, whose gradient compares the data with ``steps`` of dreaming.

    Dreams start at the data (CD-k), or go on where they stopped at the last update if
    ``persistent``. As a loss it is the cross-entropy of the reconstruction per unit, in nats, which
    shows progress and is not what the gradient is of. Sources: Hinton, Training products of experts
    by minimizing contrastive divergence, 2002; Tieleman, 2008 for the persistent form.
    """

    steps: int = 1
    persistent: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadValue(f"contrastive divergence needs at least one step, got {self.steps}.")

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of the logits ``output`` with the units ``targets``."""
        return binary_cross_entropy_with_logits(output, targets)

    @torch.no_grad()
    def gradient(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Add to ``.grad`` of the model what its dreams have more than ``inputs``; return the loss.

        Draws from torch's own generator. Raises BadType for a model that is no Boltzmann machine.
        """
        if not isinstance(model, Boltzmann):
            kind = type(model).__name__
            raise BadType(f"contrastive divergence trains a Boltzmann machine, got a {kind}.")
        dreams = model.dream(model.chains if self.persistent else inputs, self.steps)
        if self.persistent:
            model.chains.copy_(dreams)
        add_gradient(model, inputs, dreams)
        return self(model(inputs), targets)


@torch.no_grad()
def add_gradient(model: Boltzmann, data: Tensor, dreams: Tensor) -> None:
    """Add to ``.grad`` that of the mean free energy of ``data`` less the mean one of ``dreams``."""
    named = dict(model.named_parameters())
    positive, negative = (_statistics(model, units) for units in (data, dreams))
    for name, parameter in named.items():
        difference = negative[name] - positive[name]
        parameter.grad = difference if parameter.grad is None else parameter.grad + difference


def _statistics(model: Boltzmann, units: Tensor) -> dict[str, Tensor]:
    """Return, for each parameter, the mean over the batch of the activity that it multiplies."""
    hidden = model.upward(units).sigmoid()
    return {
        "weight": hidden.T @ units / len(units),
        "visible_bias": units.mean(0),
        "hidden_bias": hidden.mean(0),
    }
