import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from watched import points, sgd

CHECK = find_check("GD308")
INPUTS, LABELS = points()


def images(norm: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 8, 1), norm, nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 2),
    )  # fmt: skip


def trained(sizes: list[int], norm: nn.Module, parts: int = 1, freeze: bool = False) -> Evidence:
    """The evidence of a loop over batches of these sizes, each summed over some parts."""
    model, loss_fn = images(norm), nn.CrossEntropyLoss()
    if freeze:
        norm.eval()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for size in sizes:
            optimizer.zero_grad()
            for part in range(parts):
                rows = slice(part * size, (part + 1) * size)
                loss_fn(model(INPUTS[rows]), LABELS[rows]).backward()
            optimizer.step()
    return watching.evidence


def test_batches_of_one_are_found_with_a_norm_that_needs_none() -> None:
    (found,) = CHECK(trained([1] * 10, nn.BatchNorm2d(8)))
    assert (found.code, found.severity, found.where) == ("GD308", "error", "2")
    assert found.change == "batch_size=1 → 32, or nn.BatchNorm2d(8) → nn.GroupNorm(8, 8)"


def test_accumulating_batches_of_one_is_no_larger_batch() -> None:
    assert CHECK(trained([1] * 5, nn.BatchNorm2d(8), parts=8))
    assert not CHECK(trained([8] * 5, nn.BatchNorm2d(8), parts=4))


def test_a_last_batch_of_one_is_a_remark() -> None:
    (found,) = CHECK(trained([32] * 9 + [1], nn.BatchNorm2d(8)))
    assert (found.severity, found.change) == ("remark", "DataLoader(..., drop_last=True)")


def test_batches_of_one_without_batch_norm_or_under_a_frozen_one_are_left_alone() -> None:
    assert not CHECK(trained([1] * 10, nn.GroupNorm(2, 8)))
    assert not CHECK(trained([1] * 10, nn.BatchNorm2d(8), freeze=True))


def test_larger_batches_are_left_alone() -> None:
    assert not CHECK(trained([16] * 10, nn.BatchNorm2d(8)))
