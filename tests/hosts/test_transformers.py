"""The Trainer of transformers runs our optimizers and schedules, and ends where a plain loop ends.

It insists on a scheduler of its own. FollowLR is one that leaves the rates to our schedules.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from surroundings import alone as alone
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import thalweg
from thalweg import optim
from thalweg.errors import BadValue
from thalweg.optim.lr_scheduler import FollowLR
from thalweg.rules import adam, chain, clip_by_global_norm, decay
from thalweg.schedules import cosine, linear, warmup

pytest.importorskip("accelerate", reason="needs accelerate: pip install '.[hosts]'")
pytest.importorskip("transformers", reason="needs transformers: pip install '.[hosts]'")
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    default_data_collator,
    get_linear_schedule_with_warmup,
)

Pair = tuple[Any, Any]
Make = Callable[[nn.Module], Pair]

EPOCHS, BATCHES = 3, 6
UPDATES = EPOCHS * BATCHES
LR = cosine(3e-2, steps=14).after(warmup(4))
DECAY = linear(0.1, 0.0, steps=UPDATES)


def scheduled(model: nn.Module) -> Pair:
    optimizer = optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    return optimizer, FollowLR(optimizer)


def chained(model: nn.Module) -> Pair:
    rule = chain(clip_by_global_norm, adam, decay)
    optimizer = thalweg.Optimizer(model.parameters(), rule, lr=LR, max_norm=0.1)
    return optimizer, FollowLR(optimizer)


def stepped_by_torch(model: nn.Module) -> Pair:
    """A plain number, which a scheduler of torch's lowers at every update."""
    optimizer = optim.AdamW(model.parameters(), lr=3e-2, weight_decay=DECAY)
    return optimizer, LambdaLR(optimizer, lambda k: 0.9**k)


def groups(model: nn.Module) -> list[dict[str, Any]]:
    """The groups that the Trainer makes: biases and norms do not decay."""
    named = list(model.named_parameters())
    free = [p for name, p in named if name.endswith("bias") or "LayerNorm" in name]
    rest = [p for name, p in named if not (name.endswith("bias") or "LayerNorm" in name)]
    return [{"params": rest, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}]


def built_by_the_trainer(model: nn.Module) -> Pair:
    optimizer = optim.AdamW(groups(model), lr=3e-2)
    return optimizer, get_linear_schedule_with_warmup(optimizer, 2, UPDATES)


def network(dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=8, hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )  # fmt: skip


def data() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(0, 50, (8 * BATCHES, 8), generator=generator)
    return [{"input_ids": each, "labels": int(each[0]) % 2} for each in words]


class Seen:
    """The collator, which remembers the batches in the order in which the Trainer drew them."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def __call__(self, examples: Any) -> Any:
        self.batches.append(default_data_collator(examples))
        return self.batches[-1]


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., Any]:
    def build(**settings: Any) -> Any:
        given: dict[str, Any] = {
            "num_train_epochs": EPOCHS, "per_device_train_batch_size": 8, "logging_steps": 1,
            "output_dir": str(tmp_path), "use_cpu": True, "report_to": [], "disable_tqdm": True,
            "max_grad_norm": 0.0, "save_strategy": "no",
        }  # fmt: skip
        return TrainingArguments(**{**given, **settings})

    return build


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach() for p in model.parameters()]


def trained(arguments: Any, make: Make, *, resume: Any = None, dropout: float = 0.0) -> Any:
    """A Trainer that has trained, with the batches that it drew."""
    model, seen = network(dropout), Seen()
    trainer = Trainer(
        model, arguments, train_dataset=data(), data_collator=seen, optimizers=make(model)
    )
    trainer.train(resume_from_checkpoint=resume)
    return weights(model), seen.batches, trainer.state.log_history


def looped(
    make: Make, batches: list[Any], *, accumulate: int = 1, clip: float = 0.0, narrow: bool = False
) -> list[Tensor]:
    """The weights after a plain loop over *batches*.

    Accumulated losses are summed: the Trainer leaves it to such a model to divide by their number.
    """
    model = network()
    optimizer, scheduler = make(model)
    for k, batch in enumerate(batches):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            loss = model(**batch).loss
        loss.backward()
        if (k + 1) % accumulate == 0:
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return weights(model)


def assert_same_bits(ours: list[Tensor], expected: list[Tensor]) -> None:
    moved = 0
    for a, b, before in zip(ours, expected, weights(network()), strict=True):
        assert torch.equal(a, b)
        moved += not torch.equal(a, before)
    assert moved > len(ours) / 2


@pytest.mark.parametrize("make", [scheduled, chained, stepped_by_torch])
def test_training_ends_where_a_plain_loop_ends(arguments: Any, make: Make) -> None:
    ours, batches, _ = trained(arguments(), make)
    assert len(batches) == UPDATES
    assert_same_bits(ours, looped(make, batches))


def test_clipping_and_accumulation_are_the_trainers(arguments: Any) -> None:
    given = arguments(max_grad_norm=0.05, gradient_accumulation_steps=2)
    ours, batches, _ = trained(given, scheduled)
    expected = looped(scheduled, batches, accumulate=2, clip=0.05)
    assert_same_bits(ours, expected)
    assert not torch.equal(expected[0], looped(scheduled, batches, accumulate=2)[0])


def test_mixed_precision_is_the_trainers(arguments: Any) -> None:
    ours, batches, _ = trained(arguments(bf16=True), scheduled)
    assert_same_bits(ours, looped(scheduled, batches, narrow=True))
    assert not torch.equal(ours[0], looped(scheduled, batches)[0])


def test_the_trainer_builds_our_class_and_lowers_its_plain_rate(arguments: Any) -> None:
    model, seen = network(), Seen()
    given = arguments(weight_decay=0.1, lr_scheduler_type="linear", warmup_steps=2)
    Trainer(
        model, given, train_dataset=data(), data_collator=seen,
        optimizer_cls_and_kwargs=(optim.AdamW, {"lr": 3e-2}),
    ).train()  # fmt: skip
    assert_same_bits(weights(model), looped(built_by_the_trainer, seen.batches))


def test_the_log_shows_the_rate_of_every_update(arguments: Any) -> None:
    _, _, log = trained(arguments(), scheduled)
    shown = [each["learning_rate"] for each in log if "learning_rate" in each]
    assert shown == [LR(k) for k in range(UPDATES)]


@pytest.mark.parametrize("make", [scheduled, chained, stepped_by_torch])
def test_a_run_resumed_from_a_checkpoint_equals_the_straight_one(
    arguments: Any, tmp_path: Path, make: Make
) -> None:
    """Dropout and the order of the batches included: the Trainer restores both."""
    straight, *_ = trained(arguments(save_steps=4, save_strategy="steps"), make, dropout=0.1)
    resumed, batches, _ = trained(
        arguments(), make, resume=str(tmp_path / "checkpoint-4"), dropout=0.1
    )
    assert len(batches) < UPDATES
    assert_same_bits(resumed, straight)


CLASHING: dict[str, Callable[[Any], Any]] = {
    "the Trainer's own": lambda optimizer: None,
    "a constant one": lambda optimizer: LambdaLR(optimizer, lambda k: 1.0),
}


@pytest.mark.parametrize("scheduler", CLASHING)
def test_a_scheduler_over_a_schedule_is_refused_before_the_first_update(
    arguments: Any, scheduler: str
) -> None:
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=LR)
    pair = (optimizer, CLASHING[scheduler](optimizer))
    with pytest.raises(BadValue, match="insists on a scheduler, give it .*FollowLR"):
        Trainer(model, arguments(), train_dataset=data(), optimizers=pair).train()
    assert all(map(torch.equal, weights(model), weights(network())))
