"""Checkpoints are whole or absent, refuse what they are not of, and never cost the one before."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from torch import nn

from thalweg import files
from thalweg.errors import BadFile, BadType, BadValue
from thalweg.optim import SGD, Adam
from thalweg.training import Checkpoints, Interrupted, Strategy, fit
from thalweg.training.tree import pack, unpack


def data(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return inputs, (inputs.sum(1) > 0).long()


def made(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))


def train(folder, model=None, kind=Adam, strategies=(), epochs=2, batch=10, **how):
    model = model or made()
    optimizer = kind(model.parameters(), lr=0.01)
    fit(
        model, optimizer, nn.functional.cross_entropy, data(), data(15), batch=batch,
        epochs=epochs, strategies=strategies, checkpoints=Checkpoints(folder, **how),
    )  # fmt: skip
    return model, optimizer


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def names(folder: Path, kind: str) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob(f"{kind}-*.safetensors"))


def test_the_last_few_and_the_best_are_kept_and_no_draft(tmp_path) -> None:
    train(tmp_path, epochs=5, every=1, keep=2)
    assert names(tmp_path, "update") == [20, 20]
    assert len(names(tmp_path, "best")) == 1
    assert {path.suffix for path in tmp_path.iterdir() if path.name != ".lock"} == {".safetensors"}


def test_the_best_one_holds_the_weights_of_the_best_epoch(tmp_path) -> None:
    class Spoil(Strategy):
        """Ruins the weights after the second epoch."""

        def after_update(self, training) -> None:
            if training.place.update > 8:
                training.model[2].bias.data.copy_(torch.tensor([30.0, -30.0]))

    train(tmp_path, epochs=4, strategies=[Spoil()])
    best = Checkpoints(tmp_path).load_best()
    assert best is not None
    assert best["place"]["epoch"] == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "no longer there"])
def test_a_damaged_one_is_passed_over_for_the_one_before_with_a_warning(damage, tmp_path) -> None:
    straight, _ = train(tmp_path / "straight", epochs=3)
    train(tmp_path / "cut", epochs=2)
    last = max((tmp_path / "cut").glob("update-*"))
    content = bytearray(last.read_bytes())
    if damage == "one bit":
        content[-3] ^= 1
    if damage == "no longer there":
        last.unlink()
    else:
        last.write_bytes({"truncated": content[:-9], "empty": b""}.get(damage, content))
    model = made()
    if damage == "no longer there":
        train(tmp_path / "cut", model, epochs=3, resume=True)
    else:
        with pytest.warns(UserWarning, match=f"{last.name} is damaged"):
            train(tmp_path / "cut", model, epochs=3, resume=True)
    assert same(weights(straight), weights(model))


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_where_all_are_damaged_it_says_so_and_changes_nothing(tmp_path) -> None:
    train(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"torn")
    model = made()
    before = weights(model)
    with pytest.raises(BadFile, match="damaged"):
        train(tmp_path, model, resume=True)
    assert same(before, weights(model))


def test_a_folder_with_checkpoints_is_not_written_over(tmp_path) -> None:
    train(tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BadFile, match="earlier training, the last after update 8"):
        train(tmp_path)
    assert kept == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_resuming_where_there_is_nothing_begins(tmp_path) -> None:
    straight, _ = train(tmp_path / "straight")
    begun, _ = train(tmp_path / "begun", resume=True)
    assert same(weights(straight), weights(begun))


OTHERS = {
    "another model": ({"model": made(5)}, BadFile, "'0.bias' has shape"),
    "another optimizer": ({"kind": SGD}, BadValue, "optimizer 'Adam'"),
    "another batch": ({"batch": 20}, BadValue, "batch 10"),
    "another strategy": ({"strategies": [Strategy()]}, BadValue, "strategies"),
}


@pytest.mark.parametrize(("other", "error", "words"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_another_training_is_refused_unchanged(
    other, error, words, tmp_path
) -> None:
    train(tmp_path)
    model = other.pop("model", None) or made()
    before = weights(model)
    with pytest.raises(error, match=words):
        train(tmp_path, model, epochs=4, resume=True, **other)
    assert same(before, weights(model))


def test_another_number_of_threads_is_told(tmp_path) -> None:
    train(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(UserWarning, match=f"written with {threads} threads"):
            train(tmp_path, epochs=3, resume=True)
    finally:
        torch.set_num_threads(threads)


def test_a_full_disk_leaves_the_checkpoints_that_are_there(tmp_path, monkeypatch) -> None:
    straight, _ = train(tmp_path / "straight", epochs=3)
    replace = files.replace
    written: list = []

    def full(path, content) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        replace(path, content)

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(BadFile, match=r"No space left.*last good one is update-000000008"):
        train(tmp_path / "full", epochs=3)
    monkeypatch.undo()
    resumed, _ = train(tmp_path / "full", epochs=3, resume=True)
    assert same(weights(straight), weights(resumed))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_update_and_leaves_a_checkpoint(number, tmp_path) -> None:
    class Signal(Strategy):
        def after_update(self, training) -> None:
            if training.place.update == 6:
                os.kill(os.getpid(), number)

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    straight, _ = train(tmp_path / "straight", strategies=[Strategy()])
    with pytest.raises(Interrupted, match=f"{number.name}: stopped after update 6") as caught:
        train(tmp_path / "cut", strategies=[Signal()])
    assert caught.value.signal == number
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    model = made()

    class Silent(Signal):
        def after_update(self, training) -> None:
            pass

    Silent.__name__ = "Signal"
    train(tmp_path / "cut", model, strategies=[Silent()], resume=True)
    assert same(weights(straight), weights(model))


def test_a_file_is_tensors_and_json_that_other_tools_read(tmp_path) -> None:
    model, _ = train(tmp_path)
    with safetensors.safe_open(max(tmp_path.glob("update-*")), framework="pt") as file:
        assert torch.equal(file.get_tensor("model/0.weight"), model[0].weight)
        assert json.loads(file.metadata()["state"])["place"]["update"] == 8


def test_what_is_packed_is_unpacked_alike() -> None:
    tree: dict[str, Any] = {
        "a": [1, (2.5, None, True), {3: "x", ("y", 1): [float("inf")]}],
        "!b": torch.arange(3, dtype=torch.bfloat16),
        "a/0": {"deep": torch.eye(2).T, "none": ()},
    }
    text, tensors = pack(tree)
    back = unpack(text, tensors)
    assert back["a"] == tree["a"]
    assert torch.equal(back["!b"], torch.arange(3, dtype=torch.bfloat16))
    assert torch.equal(back["a/0"]["deep"], torch.eye(2))
    assert back["a/0"]["none"] == ()


def test_what_only_code_could_read_back_is_refused() -> None:
    with pytest.raises(BadType, match="strategies/0 is set"):
        pack({"strategies": [{1, 2}]})
    with pytest.raises(BadType, match="dense"):
        pack({"embedding": torch.eye(3).to_sparse()})


@pytest.mark.parametrize("how", [{"every": 0}, {"every": True}, {"keep": 0}, {"keep": 2.5}])
def test_numbers_that_cannot_be_are_refused_at_once(how, tmp_path) -> None:
    with pytest.raises((BadValue, BadType), match="expected"):
        Checkpoints(tmp_path, **how)


HELD = """
import pathlib, sys
from thalweg.training.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_trains_into_is_refused_until_that_is_killed(
    tmp_path,
) -> None:
    command = [sys.executable, "-c", HELD, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(BadFile, match="another training writes"):
        train(tmp_path)
    other.kill()
    other.communicate()
    train(tmp_path)
    assert Checkpoints(tmp_path).last is not None
