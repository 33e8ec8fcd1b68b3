"""Lightning trains with our optimizers and schedules, and arrives where a plain loop arrives."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from surroundings import alone as alone
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import thalweg
from thalweg import optim
from thalweg.errors import BadValue
from thalweg.rules import adam, chain, clip_by_global_norm, decay
from thalweg.schedules import cosine, linear, warmup

pytest.importorskip("lightning", reason="needs Lightning: pip install '.[hosts]'")
import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

Make = Callable[[Any], Any]

BATCHES = 8
LR = cosine(3e-2, steps=20).after(warmup(4))
DECAY = linear(0.1, 0.0, steps=20)


def scheduled(params: Any) -> Any:
    return optim.AdamW(params, lr=LR, weight_decay=DECAY)


def chained(params: Any) -> Any:
    return thalweg.Optimizer(params, chain(clip_by_global_norm, adam, decay), lr=LR, max_norm=0.1)


def stepped_by_torch(params: Any) -> Any:
    """A plain number, which a scheduler of torch's lowers at every update."""
    optimizer = optim.AdamW(params, lr=3e-2, weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def data() -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(8 * BATCHES, 4, generator=generator)
    targets = torch.randint(0, 3, (8 * BATCHES,), generator=generator)
    return DataLoader(TensorDataset(inputs, targets), batch_size=8)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


class Classifier(lightning.LightningModule):
    def __init__(self, make: Make) -> None:
        super().__init__()
        self.network, self.make = network(), make

    def training_step(self, batch: Any, index: int) -> Tensor:
        inputs, targets = batch
        return cross_entropy(self.network(inputs), targets)

    def configure_optimizers(self) -> Any:
        return self.make(self.network.parameters())


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Any]:
    """Trainers that write to a temporary folder, if at all, and show nothing."""
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)

    def build(epochs: int = 3, **settings: Any) -> Any:
        given = {"enable_checkpointing": False, **silent, **settings}
        return lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", default_root_dir=tmp_path, **given
        )

    return build


def fitted(trainer: Any, make: Make, **settings: Any) -> list[Tensor]:
    """The weights after a fit."""
    model = Classifier(make)
    trainer.fit(model, data(), **settings)
    return [p.detach() for p in model.network.parameters()]


def looped(
    make: Make,
    epochs: int = 3,
    accumulate: int = 1,
    clip: float | None = None,
    forward: contextlib.AbstractContextManager | None = None,
) -> list[Tensor]:
    """The weights after a plain loop over the same batches."""
    model = network()
    built = make(model.parameters())
    (optimizer,), schedulers = built if isinstance(built, tuple) else ([built], [])
    for k, (inputs, targets) in enumerate(batch for _ in range(epochs) for batch in data()):
        with forward or contextlib.nullcontext():
            loss = cross_entropy(model(inputs), targets)
        (loss / accumulate).backward()
        if (k + 1) % accumulate == 0:
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
            for each in schedulers:
                each["scheduler"].step()
    return [p.detach() for p in model.parameters()]


def assert_same_bits(ours: list[Tensor], expected: list[Tensor]) -> None:
    start = [p.detach() for p in network().parameters()]
    for a, b, before in zip(ours, expected, start, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, before)


@pytest.mark.parametrize("make", [scheduled, chained, stepped_by_torch])
def test_a_fit_ends_where_a_plain_loop_ends(trainer: Any, make: Make) -> None:
    assert_same_bits(fitted(trainer(), make), looped(make))


def test_clipping_and_accumulation_are_the_trainers(trainer: Any) -> None:
    host = trainer(gradient_clip_val=0.05, accumulate_grad_batches=2)
    expected = looped(scheduled, accumulate=2, clip=0.05)
    assert_same_bits(fitted(host, scheduled), expected)
    assert not torch.equal(expected[0], looped(scheduled, accumulate=2)[0])


def test_mixed_precision_is_the_trainers(trainer: Any) -> None:
    expected = looped(scheduled, forward=torch.autocast("cpu", torch.bfloat16))
    assert_same_bits(fitted(trainer(precision="bf16-mixed"), scheduled), expected)
    assert not torch.equal(expected[0], looped(scheduled)[0])


class Shown(Callback):
    """What a callback finds in the group after every batch."""

    def __init__(self) -> None:
        self.numbers: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: Any, *batch: Any) -> None:
        (group,) = trainer.optimizers[0].param_groups
        self.numbers.append((group["lr"], group["weight_decay"]))


def test_callbacks_read_the_numbers_of_the_update_just_made(trainer: Any) -> None:
    shown = Shown()
    fitted(trainer(callbacks=[shown]), scheduled)
    assert shown.numbers == [(LR(k), DECAY(k)) for k in range(3 * BATCHES)]


def test_the_learning_rate_monitor_needs_no_scheduler(trainer: Any, tmp_path: Path) -> None:
    """It looks before every update, and sees the rate of the one before."""
    monitor = LearningRateMonitor(logging_interval="step", log_weight_decay=True)
    fitted(trainer(logger=CSVLogger(tmp_path), callbacks=[monitor], log_every_n_steps=1), scheduled)
    assert monitor.lrs == {"lr-AdamW": [LR(max(k - 1, 0)) for k in range(3 * BATCHES)]}


@pytest.mark.parametrize("make", [scheduled, chained, stepped_by_torch])
def test_a_fit_resumed_from_a_checkpoint_equals_the_straight_one(
    trainer: Any, tmp_path: Path, make: Make
) -> None:
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", save_top_k=-1)
    straight = fitted(trainer(callbacks=[keep], enable_checkpointing=True), make)
    first = tmp_path / "epoch=0.ckpt"
    resumed = fitted(trainer(), make, ckpt_path=first, weights_only=True)
    assert_same_bits(resumed, straight)


def both_at_once(params: Any) -> Any:
    optimizer = scheduled(params)
    return [optimizer], [torch.optim.lr_scheduler.MultiStepLR(optimizer, [1000])]


def test_a_scheduler_over_a_schedule_is_refused_before_the_first_update(trainer: Any) -> None:
    """Also one that would not touch the rate for a long time."""
    model = Classifier(both_at_once)
    with pytest.raises(BadValue, match="lr follows a schedule, but one of torch's schedulers"):
        trainer().fit(model, data())
    for p, before in zip(model.network.parameters(), network().parameters(), strict=True):
        assert torch.equal(p, before)
