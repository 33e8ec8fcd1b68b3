"""Early stopping ends in time, and with the weights of the best epoch, also when resumed."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from trained import Log, adam, data, equal, kept, model, resumed, trained

from thalweg.errors import BadType, BadValue
from thalweg.training import EarlyStopping, fit

EPOCHS = 60


def noisy():
    """A validation set with wrong labels, one in four: its loss falls at first, then rises."""
    inputs, targets = data(20, 2)
    return inputs, torch.cat([1 - targets[:5], targets[5:]])


def stopped(**settings):
    stopping, log = EarlyStopping(**settings), Log()
    result = trained(log, stopping, epochs=EPOCHS, valid=noisy())
    return stopping, log, result, [epoch.valid_loss for epoch in result.history]


def test_it_stops_when_patience_is_at_its_end_and_says_so() -> None:
    stopping, _, result, losses = stopped(patience=3)
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3 < EPOCHS
    assert stopping.best == result.history[best]
    assert result.stopped == (
        f"the validation loss made no progress in 3 epochs; it was lowest, {min(losses):.4g}, "
        f"after epoch {best + 1}"
    )


def test_it_ends_with_exactly_the_weights_and_buffers_of_the_best_epoch() -> None:
    _, log, result, losses = stopped(patience=3)
    best = losses.index(min(losses))
    assert equal(kept(result.model), log.epochs[best])
    assert not equal(kept(result.model), log.epochs[-1])


def test_it_can_leave_the_last_weights() -> None:
    _, log, result, _ = stopped(patience=3, restore_best=False)
    assert equal(kept(result.model), log.epochs[-1])


def test_the_last_epoch_allowed_is_taken_back_as_well() -> None:
    stopping, log = EarlyStopping(patience=50), Log()
    result = trained(log, stopping, epochs=8, valid=noisy())
    losses = [epoch.valid_loss for epoch in result.history]
    assert losses.index(min(losses)) < 7
    assert equal(kept(result.model), log.epochs[losses.index(min(losses))])


def test_steps_smaller_than_min_delta_are_no_progress_but_count_as_best() -> None:
    stopping = EarlyStopping(patience=2, min_delta=10.0)
    result = trained(stopping, epochs=EPOCHS)
    losses = [epoch.valid_loss for epoch in result.history]
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert len(losses) == 3
    assert stopping.best == result.history[2]


@pytest.mark.parametrize("cut", [1, 20, 37])
def test_resumed_it_stops_at_the_same_epoch_with_the_same_bits(cut, tmp_path) -> None:
    how = {"epochs": EPOCHS, "valid": noisy()}
    straight = trained(EarlyStopping(5), **how)
    assert straight.history[-1].updates > 37
    _, rest = resumed(lambda: EarlyStopping(5), cut, tmp_path, **how)
    assert rest.stopped == straight.stopped
    assert equal(kept(rest.model), kept(straight.model))


def test_without_a_validation_set_it_refuses_before_the_first_update() -> None:
    made = model()
    before = kept(made)
    with pytest.raises(BadValue, match="needs a validation set"):
        fit(made, adam(made), nn.functional.cross_entropy, data(), strategies=[EarlyStopping()])
    assert equal(kept(made), before)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"patience": 0}, BadValue),
        ({"patience": 2.5}, BadType),
        ({"min_delta": -0.1}, BadValue),
        ({"min_delta": float("nan")}, BadValue),
        ({"min_delta": "0"}, BadType),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, error) -> None:
    with pytest.raises(error, match=next(iter(settings))):
        EarlyStopping(**settings)
