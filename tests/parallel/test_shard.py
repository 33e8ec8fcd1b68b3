"""What a shard takes, what it refuses, and that it comes back from a snapshot as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thalweg.errors import BadFile, BadValue
from thalweg.parallel import Layout, Outcome, Reading, Serving, Shard, Snapshots, Version
from thalweg.parallel.flat import cut
from thalweg.rules import add_noise, catalogue, chain, clip_by_global_norm, find, sgd
from thalweg.schedules import cosine

LAYOUT = Layout(("weight", "bias"), ((2, 3), (2,)), torch.float32)
START = torch.linspace(-1, 1, 8)
G = torch.linspace(1, 3, 8)


def shard(rule: Any = sgd, part: range = range(8), **serving: Any) -> Shard:
    hyper = serving.pop("hyper", {"lr": 0.5})
    made = Shard(LAYOUT, part, START, Serving(rule, hyper, **serving))
    for worker in "ab":
        made.join(worker, LAYOUT)
    return made


def read(made: Shard, worker: str = "a") -> Reading:
    reading = made.pull(worker)
    assert reading is not None
    return reading


def push(made: Shard, g: Tensor = G, sequence: int = 1, worker: str = "a", **how: Any) -> Outcome:
    version = how.pop("version", made.version)
    return made.push(g, version, worker, sequence, **how).outcome


def test_a_push_is_an_update_and_the_next_pull_shows_it() -> None:
    made = shard()
    assert push(made) is Outcome.APPLIED
    assert torch.equal(read(made).values, START - 0.5 * G)
    assert read(made).versions == (Version(0, 1),)


def test_nothing_newer_is_nothing() -> None:
    made = shard()
    assert made.pull("a", Version(0, 0)) is None
    push(made)
    assert made.pull("a", Version(0, 0)) is not None
    assert made.pull("a", Version(0, 1)) is None


def test_what_was_read_does_not_change_afterwards() -> None:
    made = shard()
    before = read(made)
    push(made)
    assert torch.equal(before.values, START)


def test_a_push_changes_neither_the_gradient_nor_the_first_vector() -> None:
    made, g, start = shard(), G.clone(), START.clone()
    push(made, g)
    assert torch.equal(g, G)
    assert torch.equal(START, start)


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_push_with_a_number_that_came_already_is_not_applied(sequence: int) -> None:
    made = shard()
    push(made, sequence=2)
    before = read(made).values
    assert push(made, sequence=sequence) is Outcome.DUPLICATE
    assert torch.equal(read(made).values, before)
    assert push(made, sequence=1, worker="b") is Outcome.APPLIED


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_push_that_is_not_finite_is_refused(bad: float) -> None:
    made, g = shard(), G.clone()
    g[3] = bad
    assert push(made, g) is Outcome.NONFINITE
    assert torch.equal(read(made).values, START)


@pytest.mark.parametrize(("bound", "outcome"), [(1, Outcome.STALE), (2, Outcome.APPLIED)])
def test_a_push_beyond_the_bound_is_refused(bound: int, outcome: Outcome) -> None:
    made = shard(staleness=bound)
    old = made.version
    push(made, sequence=1)
    push(made, sequence=2)
    assert push(made, sequence=1, worker="b", version=old) is outcome
    assert made.version.update == (2 if outcome is Outcome.STALE else 3)


@pytest.mark.parametrize("version", [Version(0, 5), Version(1, 0)])
def test_a_version_that_never_was_is_refused(version: Version) -> None:
    made = shard()
    assert push(made, version=version) is Outcome.UNKNOWN
    assert torch.equal(read(made).values, START)


def test_who_has_not_joined_is_refused() -> None:
    made = shard()
    assert push(made, worker="stranger") is Outcome.STRANGER
    made.leave("a")
    assert push(made) is Outcome.STRANGER


@pytest.mark.parametrize("g", [torch.ones(7), torch.ones(2, 4), torch.ones(8).double()])
def test_a_gradient_of_another_form_is_an_error(g: Tensor) -> None:
    made = shard()
    with pytest.raises(BadValue, match=r"a pushed a gradient of shape .* to a shard of 8 elements"):
        push(made, g)
    assert made.version.update == 0


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Layout(("weight", "bias"), ((3, 2), (2,)), torch.float32), r"'weight' has shape \(3, 2\)"),
        (Layout(("weight",), ((2, 3),), torch.float32), "it has 1 parameters"),
        (Layout(("weight", "bias"), ((2, 3), (2,)), torch.float64), "torch.float64"),
    ],
)
def test_a_worker_with_another_model_may_not_join(other: Layout, words: str) -> None:
    made = shard()
    with pytest.raises(BadValue, match=f"the model of w differs: .*{words}"):
        made.join("w", other)
    assert made.members == {"a", "b"}


# Rounds.


def test_a_round_is_one_update_of_the_weighted_mean() -> None:
    made = shard(rounds=True)
    version = made.version
    assert push(made, G, weight=3.0) is Outcome.APPLIED
    assert torch.equal(read(made).values, START)
    push(made, 2 * G, worker="b", version=version, weight=1.0)
    assert made.version == (0, 1)
    torch.testing.assert_close(read(made).values, START - 0.5 * 1.25 * G)


def test_a_round_of_sums_adds_them() -> None:
    made = shard(rounds=True, mean=False)
    push(made, G)
    push(made, 2 * G, worker="b")
    torch.testing.assert_close(read(made).values, START - 1.5 * G)


def test_the_order_of_arrival_changes_no_bit_of_a_round() -> None:
    ends = []
    for order in ("ab", "ba"):
        made = shard(rounds=True)
        for worker in order:
            push(made, G / (3 if worker == "a" else 7), worker=worker)
        ends.append(read(made).values)
    assert torch.equal(*ends)


def test_a_round_does_not_wait_for_who_left() -> None:
    made = shard(rounds=True)
    push(made, G)
    made.leave("b")
    assert torch.equal(read(made).values, START - 0.5 * G)


def test_a_gradient_that_is_not_finite_does_not_keep_a_round_open() -> None:
    made = shard(rounds=True)
    push(made, G)
    assert push(made, G * float("nan"), worker="b") is Outcome.NONFINITE
    assert torch.equal(read(made).values, START - 0.5 * G)


# Parts.


def test_parameters_without_elements_or_axes_have_their_place() -> None:
    layout = Layout(("none", "one", "two"), ((0, 3), (), (2,)), torch.float32)
    assert [tuple(view.shape) for view in layout.views(torch.arange(3.0))] == [(0, 3), (), (2,)]
    made = Shard(layout, range(3), torch.arange(3.0), Serving(find("adam"), {"lr": 0.5}))
    made.join("a", layout)
    assert push(made, torch.ones(3)) is Outcome.APPLIED
    torch.testing.assert_close(read(made).values, torch.arange(3.0) - 0.5)


@pytest.mark.parametrize("name", catalogue)
def test_parts_are_cut_where_the_rule_allows(name: str) -> None:
    """A rule that sums over tensors must see them whole; all others are cut evenly."""
    parts = cut(LAYOUT, find(name), 2)
    sums = name in ("lars", "lamb")
    assert parts == ([range(0, 6), range(6, 8)] if sums else [range(0, 4), range(4, 8)])


def test_uneven_parts_differ_by_one_at_most() -> None:
    assert [len(part) for part in cut(LAYOUT, sgd, 3)] == [2, 3, 3]


@pytest.mark.parametrize("piece", [clip_by_global_norm, add_noise])
def test_what_looks_at_everything_needs_one_shard(piece: Any) -> None:
    whole = chain(piece, sgd)
    assert cut(LAYOUT, whole, 1) == [range(8)]
    with pytest.raises(BadValue, match="Use one shard"):
        cut(LAYOUT, whole, 2)


@pytest.mark.parametrize(("rule", "shards"), [("sgd", 9), ("lamb", 3)])
def test_more_shards_than_there_is_to_cut_are_refused(rule: str, shards: int) -> None:
    with pytest.raises(BadValue, match=r"shards"):
        cut(LAYOUT, find(rule), shards)


# Snapshots.


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["adam", "nadam", "adaptive_revision", "sgd"])
def test_a_restored_shard_goes_on_as_if_nothing_had_been(
    name: str, folder: bool, tmp_path: Path
) -> None:
    hyper = {"lr": cosine(0.1, steps=9)}
    straight, killed = (shard(find(name), range(2, 8), hyper=hyper) for _ in range(2))
    snapshots = Snapshots(tmp_path / "shard" if folder else None)

    def train(made: Shard, numbers: range) -> None:
        for number in numbers:
            made.push(G[2:] * number, read(made).versions[0], "a", number)

    train(straight, range(1, 9))
    train(killed, range(1, 5))
    snapshots.save(killed)
    train(killed, range(5, 7))
    back = Shard(LAYOUT, range(2, 8), START, Serving(find(name), hyper))
    snapshots.restore(back)
    assert back.version == (1, 4)
    back.join("a", LAYOUT)
    train(back, range(5, 9))
    assert torch.equal(back.values, straight.values)


def test_pushes_of_a_life_before_are_refused_and_numbers_are_remembered() -> None:
    snapshots, made = Snapshots(), shard()
    old = made.version
    push(made, sequence=3)
    snapshots.save(made)
    back = shard()
    snapshots.restore(back)
    back.join("a", LAYOUT)
    assert push(back, sequence=4, version=old) is Outcome.UNKNOWN
    assert push(back, sequence=3) is Outcome.DUPLICATE
    assert push(back, sequence=5) is Outcome.APPLIED
    assert back.pull("a", Version(0, 100)) is not None


def test_each_restoration_begins_a_life_of_its_own() -> None:
    """Also twice from the same update, so that no version means two states."""
    snapshots = Snapshots()
    snapshots.save(shard())
    lives = []
    for _ in range(3):
        back = shard()
        snapshots.restore(back)
        lives.append(back.version.life)
    assert lives == [1, 2, 3]


def test_snapshots_are_safetensors_and_the_last_two_are_kept(tmp_path: Path) -> None:
    import safetensors.torch

    snapshots, made = Snapshots(tmp_path), shard(find("adam"))
    for number in range(1, 5):
        push(made, sequence=number)
        snapshots.save(made)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [path.name[:16] for path in files] == ["update-000000003", "update-000000004"]
    assert torch.equal(safetensors.torch.load_file(files[-1])["values"], made.values)


def test_a_torn_snapshot_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    snapshots, made = Snapshots(tmp_path), shard()
    for number in (1, 2):
        push(made, sequence=number)
        snapshots.save(made)
    last = max(tmp_path.glob("*.safetensors"))
    last.write_bytes(last.read_bytes()[:-3])
    back = shard()
    with pytest.warns(UserWarning, match="damaged"):
        snapshots.restore(back)
    assert back.version == (1, 1)


def test_a_folder_with_snapshots_of_another_training_is_refused(tmp_path: Path) -> None:
    Snapshots(tmp_path).save(shard())
    with pytest.raises(BadFile, match="holds snapshots of an earlier training"):
        Snapshots(tmp_path)


@pytest.mark.parametrize(("rule", "part"), [(sgd, range(4)), (find("adam"), range(8))])
def test_a_snapshot_of_something_else_is_refused_with_nothing_changed(
    rule: Any, part: range
) -> None:
    state = shard().state()
    other = shard(rule, part)
    with pytest.raises(BadValue):
        other.restore(state)
    assert torch.equal(other.values, START[part.start : part.stop])
    assert other.version == (0, 0)
