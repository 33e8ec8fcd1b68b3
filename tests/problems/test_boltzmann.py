"""Contrastive divergence moves a Boltzmann machine along the gradient of its likelihood."""

from itertools import product
from typing import Any

import pytest
import torch

from thalweg import problems
from thalweg.errors import BadType, BadValue
from thalweg.problems.boltzmann import Boltzmann, ContrastiveDivergence, add_gradient

_VISIBLE, _HIDDEN, _COPIES = 4, 3, 8000


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _machine(chains=32):
    model = Boltzmann(_VISIBLE, _HIDDEN, chains)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
    return model


def _states(units):
    return torch.tensor(list(product((0.0, 1.0), repeat=units)))


def _data():
    return torch.tensor([[1.0, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [1, 0, 1, 1]])


def _likelihood_gradient(model):
    """The gradient of the mean negative log-likelihood, from all 16 visible states."""
    partition = (-model.free_energy(_states(_VISIBLE))).logsumexp(0)
    loss = model.free_energy(_data()).mean() + partition
    return torch.autograd.grad(loss, list(model.parameters()))


def _written(model):
    return [parameter.grad for parameter in model.parameters()]


def _sampling_error(samples):
    """Five deviations of a mean of values in [0, 1], whose deviation is at most a half."""
    return 5 * 0.5 / samples**0.5


def _assert_near_likelihood_gradient(model, samples):
    for exact, written in zip(_likelihood_gradient(model), _written(model), strict=True):
        assert (exact - written).abs().max() < _sampling_error(samples)
    assert max(each.abs().max() for each in _likelihood_gradient(model)) > 0.1


def test_the_free_energy_sums_the_hidden_units_out():
    model = _machine()
    hidden, visible = _states(_HIDDEN), _states(_VISIBLE)
    agreement = visible @ model.weight.T @ hidden.T
    energy = -(visible @ model.visible_bias)[:, None] - hidden @ model.hidden_bias - agreement
    torch.testing.assert_close(model.free_energy(visible), -(-energy).logsumexp(1))


def test_many_steps_of_contrastive_divergence_follow_the_likelihood():
    model, many = _machine(), _data().repeat(_COPIES, 1)
    ContrastiveDivergence(steps=60).gradient(model, many, many)
    _assert_near_likelihood_gradient(model, len(many))


def test_persistent_chains_follow_the_likelihood_although_each_update_takes_one_step():
    model, loss = _machine(chains=4 * _COPIES), ContrastiveDivergence(persistent=True)
    for _ in range(60):
        model.zero_grad()
        loss.gradient(model, _data(), _data())
    _assert_near_likelihood_gradient(model, len(model.chains))


def test_one_step_from_the_data_is_biased():
    model, many = _machine(), _data().repeat(_COPIES, 1)
    ContrastiveDivergence().gradient(model, many, many)
    pairs = zip(_likelihood_gradient(model), _written(model), strict=True)
    bias = max((exact - written).abs().max() for exact, written in pairs)
    assert bias > 2 * _sampling_error(len(many))


def test_the_gradient_is_that_of_the_free_energies_of_data_and_dreams():
    model, dreams = _machine(), _states(_VISIBLE)[3:9]
    difference = model.free_energy(_data()).mean() - model.free_energy(dreams).mean()
    expected = torch.autograd.grad(difference, list(model.parameters()))
    add_gradient(model, _data(), dreams)
    torch.testing.assert_close(_written(model), list(expected))
    add_gradient(model, _data(), dreams)
    torch.testing.assert_close(_written(model), [2 * each for each in expected])


def test_only_persistent_dreams_move_the_chains_and_a_checkpoint_holds_them():
    model = _machine()
    before = model.chains.clone()
    ContrastiveDivergence().gradient(model, _data(), _data())
    assert torch.equal(model.chains, before)
    ContrastiveDivergence(persistent=True).gradient(model, _data(), _data())
    assert not torch.equal(model.chains, before)
    assert torch.equal(model.state_dict()["chains"], model.chains)


def test_the_same_random_state_gives_the_same_gradient():
    written = []
    for _ in range(2):
        torch.manual_seed(3)
        model = _machine()
        ContrastiveDivergence().gradient(model, _data(), _data())
        written.append(_written(model))
    assert all(torch.equal(*pair) for pair in zip(*written, strict=True))


def test_training_by_contrastive_divergence_lowers_the_reconstruction_error():
    problem: Any = problems.load("rbm")
    model, (inputs, targets) = problem.make_model(0), problem.train
    before = problem.loss(model(inputs), targets).item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in torch.randperm(len(inputs)).split(32):
        optimizer.zero_grad()
        problem.loss.gradient(model, inputs[batch], targets[batch])
        optimizer.step()
    assert problem.loss(model(inputs), targets).item() < 0.8 * before


def test_it_refuses_another_model_and_no_steps():
    with pytest.raises(BadType, match="trains a Boltzmann machine, got a Linear"):
        ContrastiveDivergence().gradient(torch.nn.Linear(4, 3), _data(), _data())
    with pytest.raises(BadValue, match="at least one step, got 0"):
        ContrastiveDivergence(steps=0)
