"""A callback watches a training by Lightning, which ends where one without it ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from surroundings import alone as alone
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg.errors import BadValue

pytest.importorskip("lightning", reason="needs Lightning: pip install '.[hosts]'")
import lightning.pytorch as lightning

from thalweg.doctor.hosts.lightning import WatchCallback


class Classifier(lightning.LightningModule):
    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        self.loss, self.lr = nn.CrossEntropyLoss(), lr

    def training_step(self, batch: Any, index: int) -> Tensor:
        inputs, targets = batch
        loss: Tensor = self.loss(self.network(inputs), targets)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        inputs, targets = batch
        self.loss(self.network(inputs), targets)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def loader(seed: int) -> DataLoader:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(128, 4, generator=generator)
    return DataLoader(TensorDataset(inputs, inputs[:, :3].argmax(1)), batch_size=16)


def fitted(folder: Path, *callbacks: Any, lr: float = 0.1) -> Classifier:
    silent = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", default_root_dir=folder, num_sanity_val_steps=0,
        callbacks=list(callbacks), **silent,
    )  # fmt: skip
    model = Classifier(lr)
    trainer.fit(model, loader(1), loader(2))
    return model


def test_losses_layers_and_validations_are_seen_and_the_weights_are_those_of_no_watch(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    callback = WatchCallback("loss", overhead=1e9, at_exit=0, say=said.append)
    watched, alone = fitted(tmp_path, callback), fitted(tmp_path)
    for ours, expected in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, expected)
    assert callback.watch is not None
    evidence = callback.watch.evidence
    assert evidence.updates == 16
    first = Classifier()
    inputs, targets = next(iter(loader(1)))
    expected_loss = first.loss(first.network(inputs), targets).item()
    assert evidence.losses.values[0] == pytest.approx(expected_loss)
    assert list(evidence.probes[0].layers) == ["0", "1", "2"]
    assert [each.examples for each in evidence.validations] == [128, 128]
    assert said == [callback.report()]
    assert not evidence.failed


def test_a_training_that_diverges_is_found_out(tmp_path: Path) -> None:
    callback = WatchCallback("loss", at_exit=0, say=None)
    fitted(tmp_path, callback, lr=1e30)
    assert callback.findings[0].code == "GD101"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "net"}, "Classifier has no 'net'"),
        ({"loss_fn": "criterion"}, "Classifier has no 'criterion'"),
        ({"optimizer": 1}, "optimizer=1, and Classifier has 1"),
    ],
)
def test_what_the_module_does_not_have_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        fitted(tmp_path, WatchCallback(**options))


def test_before_the_training_there_is_nothing_to_report() -> None:
    with pytest.raises(BadValue, match="nothing was trained"):
        WatchCallback().report()
