import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import (
    GroupFacts,
    ModelFacts,
    OptimizerFacts,
    ParameterFacts,
    ParameterProbe,
    Probe,
    Step,
)
from watched import net, train

CHECK = find_check("GD104")


class Low(nn.Module):
    """A network whose parameters are in a low precision, for inputs and scores in float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.net = dtype, net().to(dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs.to(self.dtype)).float()


def trained(lr: float, dtype: torch.dtype = torch.bfloat16) -> Evidence:
    return train(lambda params: torch.optim.SGD(params, lr=lr), Low(dtype)).evidence


def test_steps_below_the_spacing_of_bfloat16_are_found_and_spoil_the_run() -> None:
    (found,) = CHECK(trained(1e-4))
    assert (found.code, found.severity) == ("GD104", "error")
    assert "model.float()" in found.change
    assert found.numbers["dtype"] == "bfloat16"


def test_steps_that_are_large_enough_are_left_alone() -> None:
    assert not CHECK(trained(0.2))


def test_the_same_small_steps_move_weights_in_single_precision() -> None:
    assert not CHECK(trained(1e-4, torch.float32))


def evidence(moved: float, lr: float = 0.1, end: float = 0.5) -> Evidence:
    facts = ParameterFacts("weight", (10, 10), "float16")
    steps = [Step(k, 1.0 if k < 11 else end, (lr if k == 1 else 0.1,)) for k in range(1, 21)]
    return Evidence(
        model=ModelFacts("Net", {"weight": facts}),
        optimizer=OptimizerFacts("SGD", (GroupFacts({}, ("weight",)),)),
        steps=steps,
        probes=[Probe(1, {"weight": ParameterProbe(1.0, weight=1.0, update=0.1, moved=moved)})],
    )


def test_only_steps_at_full_rate_and_before_the_loss_is_down_count() -> None:
    assert CHECK(evidence(0.4))[0].severity == "warning"
    assert not CHECK(evidence(0.4, lr=1e-6))
    assert not CHECK(evidence(0.4, end=1e-5))
