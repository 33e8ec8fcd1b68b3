"""A callback watches a training by the Trainer, which ends where one without it ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from surroundings import alone as alone
from torch import Tensor

pytest.importorskip("accelerate", reason="needs accelerate: pip install '.[hosts]'")
pytest.importorskip("transformers", reason="needs transformers: pip install '.[hosts]'")
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from thalweg.doctor.hosts.transformers import WatchCallback


def trained(folder: Path, *callbacks: Any) -> tuple[list[Tensor], list[float]]:
    """The weights after a training, and the losses that the Trainer logged."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(vocab_size=50, intermediate_size=32, **sizes))
    words = torch.randint(0, 50, (32, 8), generator=torch.Generator().manual_seed(1))
    data = [{"input_ids": each, "labels": int(each[0]) % 2} for each in words]
    arguments = TrainingArguments(
        str(folder), num_train_epochs=2, per_device_train_batch_size=8, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, logging_steps=1,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=data, callbacks=list(callbacks))
    trainer.train()
    losses = [each["loss"] for each in trainer.state.log_history if "loss" in each]
    return [p.detach() for p in model.parameters()], losses


def test_losses_and_layers_are_seen_and_the_weights_are_those_of_no_watch(tmp_path: Path) -> None:
    said: list[str] = []
    callback = WatchCallback(overhead=1e9, at_exit=0, say=said.append)
    watched, losses = trained(tmp_path, callback)
    alone, _ = trained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(watched, alone, strict=True))
    assert callback.watch is not None
    evidence = callback.watch.evidence
    assert evidence.updates == 8
    assert list(evidence.losses.values) == pytest.approx(losses, abs=1e-3)
    assert "classifier" in evidence.probes[0].layers
    assert said == [callback.report()]
    assert not evidence.failed
