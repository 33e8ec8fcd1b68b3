"""The gates of recurrent layers, held against the equations on paper, and what else is surveyed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor.watching.gates import flat_gates
from thalweg.doctor.watching.survey import survey_model
from watched import sgd, train

INPUTS = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(2))


def recurrent(kind: Callable[..., nn.RNNBase], **options: object) -> nn.RNNBase:
    torch.manual_seed(0)
    module = kind(3, 6, **options)
    with torch.no_grad():
        for each in module.parameters():
            each.mul_(8.0)
    return module


def share(module: nn.RNNBase, inputs: Tensor) -> float:
    with torch.no_grad():
        found = flat_gates(module, (inputs,), module(inputs)[0])
    assert found is not None
    return float(found)


def test_the_gates_of_an_lstm_are_those_of_its_equations() -> None:
    module = recurrent(nn.LSTM, batch_first=True)
    cell = nn.LSTMCell(3, 6)
    cell.load_state_dict({name[:-3]: each for name, each in module.state_dict().items()})
    hidden, memory, flat = torch.zeros(5, 6), torch.zeros(5, 6), []
    with torch.no_grad():
        for time in range(7):
            into = INPUTS[:, time] @ cell.weight_ih.T + cell.bias_ih
            i, f, g, o = (into + hidden @ cell.weight_hh.T + cell.bias_hh).chunk(4, 1)
            sigmoids = torch.cat([i, f, o], 1).sigmoid()
            flat += [(sigmoids < 0.01) | (sigmoids > 0.99), g.tanh().abs() > 0.99]
            hidden, memory = cell(INPUTS[:, time], (hidden, memory))
    expected = torch.cat(flat, 1).float().mean()
    assert share(module, INPUTS) == pytest.approx(float(expected), abs=0.01)


def test_a_plain_recurrent_layer_is_flat_where_its_output_is() -> None:
    for inputs, options in ((INPUTS, {"batch_first": True}), (INPUTS.transpose(0, 1), {})):
        module = recurrent(nn.RNN, **options)
        with torch.no_grad():
            expected = (module(inputs)[0].abs() > 0.99).float().mean()
        assert share(module, inputs) == pytest.approx(float(expected), abs=0.01)


def test_gates_are_told_without_biases_of_a_single_sequence_and_of_several_layers() -> None:
    for options in ({"bias": False}, {"num_layers": 2}, {"bidirectional": True}):
        assert 0 < share(recurrent(nn.GRU, **options), INPUTS) < 1
    assert 0 < share(recurrent(nn.LSTM), INPUTS[0]) < 1


def test_rectified_recurrence_and_packed_sequences_have_none() -> None:
    module = recurrent(nn.RNN, nonlinearity="relu")
    assert flat_gates(module, (INPUTS,), module(INPUTS)[0]) is None
    packed = nn.utils.rnn.pack_sequence([INPUTS[0]])
    assert flat_gates(recurrent(nn.LSTM), (packed,), INPUTS) is None


def test_a_recurrent_layer_whose_output_is_not_finite_goes_on_training() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.core, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.core(inputs[:, :, None] * torch.nan)[0][:, -1])

    assert train(sgd, Broken(), steps=3).evidence.updates == 3


def test_a_batch_norm_is_surveyed_with_the_batches_that_it_saw_before() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4))
    model(torch.randn(8, 3))
    modules = survey_model(model, sgd(model.parameters())).modules
    assert modules["1"].settings["num_batches_tracked"] == 1
    assert "num_batches_tracked" not in modules["2"].settings
