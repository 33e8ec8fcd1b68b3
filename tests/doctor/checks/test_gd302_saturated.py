from collections.abc import Callable

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import ModelFacts, ModuleFacts, ParameterFacts, Probe, Step
from thalweg.doctor.evidence.seen import LayerProbe
from watched import sgd, train

CHECK = find_check("GD302")


class Sequence(nn.Module):
    """A recurrent layer over points taken as sequences of numbers, and a layer on its end."""

    def __init__(self, kind: Callable[..., nn.RNNBase], scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.core, self.head = kind(1, 16, batch_first=True), nn.Linear(16, 2)
        with torch.no_grad():
            for each in self.core.parameters():
                each.mul_(scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.core(inputs[:, :, None])[0][:, -1])


def squashed(activation: type[nn.Module], scale: float) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 32), activation(), nn.Linear(32, 32), activation(), nn.Linear(32, 2)
    )
    with torch.no_grad():
        for each in (model[0], model[2]):
            each.weight.mul_(scale)  # type: ignore[operator]
    return model


def test_large_weights_before_tanh_and_sigmoid_are_found_in_their_layers() -> None:
    for activation in (nn.Tanh, nn.Sigmoid):
        found = CHECK(train(sgd, squashed(activation, 30.0)).evidence)
        assert [each.where for each in found] == ["1", "3"]
        assert {each.code for each in found} == {"GD302"}
        assert found[0].numbers["begun"] > 0.4
        assert found[0].change.startswith("nn.init.xavier_normal_(0.weight")
        assert "0.weight *= 0." in found[0].change


def test_weights_of_usual_size_are_left_alone() -> None:
    for activation in (nn.Tanh, nn.Sigmoid, nn.Softsign):
        assert not CHECK(train(sgd, squashed(activation, 1.0), steps=150).evidence)


def test_a_rate_that_drives_units_to_their_ends_is_lowered() -> None:
    model = squashed(nn.Tanh, 1.0)
    found = CHECK(train(lambda p: torch.optim.SGD(p, lr=20.0), model, overhead=1e9).evidence)
    assert found[0].change == "lr=20 → 2"
    assert found[0].numbers["begun"] < 0.1
    assert {each.severity for each in found} == {"warning"}


def test_gates_of_recurrent_layers_are_looked_at() -> None:
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        (found,) = CHECK(train(sgd, Sequence(kind, 40.0)).evidence)
        assert found.where == "core"
        assert not CHECK(train(sgd, Sequence(kind)).evidence)


def evidence(
    trend: list[float], end: float = 1.0, kind: str = "Tanh", last: bool = False
) -> Evidence:
    order = ("fc", "act") if last else ("fc", "act", "out")
    modules = {
        "fc": ModuleFacts("fc", "Linear", "linear", {}, ("fc.weight",)),
        "act": ModuleFacts("act", kind, "activation"),
        "out": ModuleFacts("out", "Linear", "linear", {}, ("out.weight",)),
    }
    weights = [name for each in order for name in modules[each].parameters]
    parameters = {name: ParameterFacts(name, (4, 4)) for name in weights}
    probes = [
        Probe(k, layers={"act": LayerProbe((8, 4), 0.0, 1.0, saturated=share)})
        for k, share in enumerate(trend, 1)
    ]
    steps = [Step(k, 1.0 if k < 11 else end, (0.1,)) for k in range(1, 21)]
    model = ModelFacts("Net", parameters, modules, order)
    return Evidence(model=model, probes=probes, steps=steps)


def test_units_that_saturate_as_the_loss_comes_down_are_left_alone() -> None:
    assert CHECK(evidence([0.0, 0.6]))
    assert not CHECK(evidence([0.0, 0.6], end=0.01))
    assert CHECK(evidence([0.6, 0.6], end=0.01))


def test_a_share_below_the_limit_an_output_and_a_softmax_are_left_alone() -> None:
    assert not CHECK(evidence([0.6, 0.3]))
    assert not CHECK(evidence([0.9, 0.9], last=True))
    assert not CHECK(evidence([0.9, 0.9], kind="Softmax"))
    assert CHECK(evidence([0.9, 0.9]))[0].severity == "error"


def test_units_that_begin_at_their_ends_do_not_follow_from_a_rate() -> None:
    assert [each.explains for each in CHECK(evidence([0.9, 0.9]))] == [("GD202",)]
    assert [each.explains for each in CHECK(evidence([0.0, 0.9]))] == [()]
