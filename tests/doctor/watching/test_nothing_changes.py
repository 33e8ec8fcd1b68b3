"""Watching a training leaves it as it is: weights and random numbers bit for bit."""

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import watch
from watched import points


def run(watched: bool, overhead: float) -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.3),
        nn.Linear(16, 2),
    )  # fmt: skip
    optimizer, loss_fn = torch.optim.AdamW(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = points()
    watching = watch(model, optimizer, loss_fn, overhead=overhead) if watched else None
    for start in range(0, 256, 32):
        optimizer.zero_grad()
        rows = slice(start, start + 32)
        loss_fn(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
    if watching:
        watching.report()
        watching.close()
    return model.state_dict(), torch.get_rng_state()


@pytest.mark.parametrize("overhead", [0.0, 0.03, 1e9])
def test_weights_buffers_and_random_numbers_are_those_of_a_run_that_nobody_watches(
    overhead: float,
) -> None:
    plain, watched = run(False, 0), run(True, overhead)
    assert torch.equal(plain[1], watched[1])
    for name, value in plain[0].items():
        assert torch.equal(value, watched[0][name]), name


def test_torch_has_its_own_functions_back_when_the_last_watch_is_closed() -> None:
    before = torch.autograd.backward, torch.amp.GradScaler.scale, torch.amp.GradScaler.step
    run(True, 1.0)
    after = torch.autograd.backward, torch.amp.GradScaler.scale, torch.amp.GradScaler.step
    assert before == after
