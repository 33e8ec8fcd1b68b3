"""Parameters on several devices: each is updated where it lies, and only sums travel.

Fake tensors know the device they would be on and refuse what devices refuse, without any there.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import thalweg
from thalweg.algebra import evaluate, symbol
from thalweg.algebra.trace import symbols
from thalweg.kernels import launches
from thalweg.kernels.table import Row
from thalweg.rules import Rule, adam, chain, clip_by_global_norm, decay, ema_average, sgd

PIPELINE = chain(clip_by_global_norm, adam, decay, ema_average)


@pytest.mark.parametrize("rule", [adam, PIPELINE], ids=["adam", "pipeline"])
def test_results_stay_on_the_device_of_their_row(rule: Rule) -> None:
    table = symbols(rule.signature)
    rows = []
    devices = ["cuda:1", "cpu", "cuda:0"]
    with FakeTensorMode():
        for device in devices:
            row = {table[name]: value for name, value in rule.settings().items()}
            row |= {table[name]: torch.ones(3, device=device) for name in rule.signature.slots}
            row |= {symbol("input", name): torch.ones(3, device=device) for name in ("g", "p")}
            rows.append(row | {symbol("clock", "t"): 1.0})
        results = evaluate(rule.results, rows)
        for device, values in zip(devices, results, strict=True):
            assert {value.device for value in values} == {torch.device(device)}


def _row(device: str) -> Row:
    p = torch.ones(3, device=device)
    return Row(p, (), (), torch.tensor(0.0), 0)


def test_each_device_has_a_launch_of_its_own_unless_a_sum_joins_them() -> None:
    rows = [_row("cpu"), _row("meta"), _row("cpu")]
    apart = launches(sgd, rows)
    assert [[row.parameter.device.type for row in launch.rows] for launch in apart] == [
        ["cpu", "cpu"],
        ["meta"],
    ]
    joined = launches(chain(clip_by_global_norm, sgd), rows)
    assert [launch.rows for launch in joined] == [rows]


def test_a_parameter_elsewhere_does_not_change_the_path_of_one_here() -> None:
    ends = []
    for others in ([], [torch.nn.Parameter(torch.ones(2, device="meta"))]):
        p = torch.nn.Parameter(torch.ones(5))
        optimizer = thalweg.Optimizer([*others, p], adam, lr=0.1)
        for each in (*others, p):
            each.grad = torch.full_like(each, 2.0)
        for _ in range(3):
            optimizer.step()
        ends.append(p.detach())
        assert all(optimizer.state[each]["exp_avg"].device == each.device for each in others)
    assert torch.equal(*ends)
