import torch
from torch import nn
from torch.optim import swa_utils

from thalweg.doctor import Evidence, find_check, watch
from watched import net, points, sgd

CHECK = find_check("GD309")
INPUTS, LABELS = points()


def normed() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


def averaged(
    model: nn.Module, updates: int = 10, anew: bool = False, buffers: bool = False
) -> Evidence:
    """The evidence of a loop that averages the weights after each update."""
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    average = swa_utils.AveragedModel(model, use_buffers=buffers)
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(updates):
            optimizer.zero_grad()
            loss_fn(model(INPUTS), LABELS).backward()
            optimizer.step()
            average.update_parameters(model)
        if anew:
            swa_utils.update_bn([INPUTS], average)
    return watching.evidence


def test_an_average_with_the_statistics_of_the_last_model_is_found() -> None:
    (found,) = CHECK(averaged(normed()))
    assert (found.code, found.severity, found.where) == ("GD309", "warning", "1")
    assert found.change == "update_bn(loader, average) at the end"
    assert found.numbers == {"averaged": 10, "norms": 1}


def test_statistics_that_were_computed_anew_or_averaged_are_left_alone() -> None:
    assert not CHECK(averaged(normed(), anew=True))
    assert not CHECK(averaged(normed(), buffers=True))


def test_an_average_without_batch_norms_or_of_one_model_is_left_alone() -> None:
    assert not CHECK(averaged(net()))
    assert not CHECK(averaged(normed(), updates=1))
