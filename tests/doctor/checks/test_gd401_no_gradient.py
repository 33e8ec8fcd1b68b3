from torch import Tensor, nn

from thalweg.doctor import diagnose, find_check
from watched import net, sgd, train

CHECK = find_check("GD401")


class Detached(nn.Module):
    """A layer whose output is cut off from the graph, before one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.before(inputs).detach())


def test_parameters_before_a_cut_in_the_graph_are_named() -> None:
    found = CHECK(train(sgd, Detached()).evidence)
    assert [each.where for each in found] == ["before.weight", "before.bias"]
    assert {each.code for each in found} == {"GD401"}
    assert all("requires_grad_(False)" in each.change for each in found)


def test_a_network_that_trains_is_left_alone() -> None:
    assert not CHECK(train(overhead=1e9).evidence)


def test_a_parameter_that_is_frozen_on_purpose_is_left_alone() -> None:
    model = net()
    model[0].requires_grad_(False)
    assert not CHECK(train(sgd, model, overhead=1e9).evidence)


def test_a_cut_is_no_wrong_formula_and_explains_the_slope_that_is_missed() -> None:
    seen = train(sgd, Detached(), at_exit=60.0).evidence
    found = diagnose(seen)
    assert found.findings[0].code == "GD401"
    assert found.causes["GD102"] == "GD401"
