"""Real processes are killed and paused, and a training on Ray ends with every loss counted."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import COUNT, PLAIN, check_ledger, counting, slowly

from descendants import descendants
from thalweg.parallel import (
    Algorithm,
    Outcome,
    Progress,
    RayEngine,
    Seat,
    Serving,
    Synchronous,
    Tally,
)
from thalweg.parallel.algorithms.algorithm import Script
from thalweg.parallel.cluster.connection import connected

pytest.importorskip("ray")

NEVER = 10**9


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Two processors of this machine, for all trainings here."""
    with connected(None, 2, 60.0) as ray:
        yield ray


@dataclass(frozen=True)
class Known(Algorithm):
    """Another algorithm, whose workers write their process numbers into *folder*, life by life.

    In its first life the worker of that *rank* sends itself a signal at the *request* of that
    number. With *meet* the others wait at a later request until it has begun another life.
    """

    inner: Algorithm
    folder: Path
    request: int = NEVER
    rank: int = 1
    kind: signal.Signals = signal.SIGKILL
    meet: bool = False

    def serving(self, workers: int) -> Serving:
        return self.inner.serving(workers)

    def lives(self, rank: int) -> list[int]:
        """Return the processes that were, or are, the worker of a rank."""
        path = self.folder / f"rank-{rank}"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def script(self, seat: Seat) -> Script:
        with (self.folder / f"rank-{seat.rank}").open("a") as file:
            print(os.getpid(), file=file)
        return self._script(seat)

    def _script(self, seat: Seat) -> Script:
        script, answer = self.inner.script(seat), None
        doomed = seat.rank == self.rank and len(self.lives(seat.rank)) == 1
        for number in range(NEVER):
            try:
                request = script.send(answer)
            except StopIteration:
                return
            if doomed and number == self.request:
                os.kill(os.getpid(), self.kind)
            if self.meet and seat.rank != self.rank and number == self.request + 30:
                wait_until(lambda: len(self.lives(self.rank)) > 1)
            answer = yield request


def wait_until(true: Callable[[], bool], seconds: float = 100.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def actors() -> set[int]:
    """Return the processes of workers and shards that are there now."""
    return {*descendants("ray::Worker"), *descendants("ray::Server")}


class Strikes:
    """A watcher that sends signals to processes of the training, at its first report."""

    def __init__(self, *kinds: str, again: signal.Signals | None = None, apart: float = 0) -> None:
        self.kinds, self.again, self.apart = kinds, again, apart
        self.first = signal.SIGSTOP if again else signal.SIGKILL
        self.older = actors()
        self.struck = 0

    def __call__(self, progress: Progress) -> None:
        if not self.struck:
            for kind in self.kinds:
                self.strike(min(set(descendants(f"ray::{kind}")) - self.older))

    def strike(self, target: int) -> None:
        os.kill(target, self.first)
        self.struck += 1
        if self.again is not None:
            threading.Timer(self.apart, os.kill, (target, self.again)).start()


def ran(engine: RayEngine, algorithm: Algorithm, **how: Any) -> tuple[np.ndarray, int, Tally]:
    """How often each gradient was applied, how many updates there are, and the tally."""
    updates: list[int] = []
    given = how.pop("watch", lambda progress: None)

    def watch(progress: Progress) -> None:
        updates.append(progress.updates)
        given(progress)

    how = {"workers": 2, "every": 20, "watch": watch, **how}
    values, tally = engine.run(counting(algorithm, slowly, **how))
    return values[:COUNT].numpy(), updates[-1], tally


# Workers are killed.


def test_a_worker_killed_amid_a_push_begins_anew_and_nothing_is_applied_twice(
    tmp_path: Path,
) -> None:
    """Its third push is under way when it comes to its tenth request, a pull."""
    applied, updates, tally = ran(RayEngine(), Known(PLAIN, tmp_path, 9, meet=True))
    check_ledger(applied, tally)
    assert (tally.restarts, tally.lost_gradients, tally.undealt) == (1, 1, 0)
    assert tally.receipts == {Outcome.APPLIED: COUNT - 1}
    assert applied.sum() == updates == COUNT - 1 + tally.lost_pushes
    assert tally.lost_pushes <= 1


@pytest.mark.long
@pytest.mark.parametrize("algorithm", [PLAIN, Synchronous("sgd", lr=1.0)])
@pytest.mark.parametrize(("number", "lost"), [(8, 0), (10, 1)])
def test_a_worker_may_die_before_and_after_its_push(
    algorithm: Algorithm, number: int, lost: int, tmp_path: Path
) -> None:
    _, _, tally = ran(RayEngine(), Known(algorithm, tmp_path, number, meet=True))
    assert (tally.restarts, tally.lost_gradients, tally.lost_pushes) == (1, 1, lost)
    assert tally.receipts.total() == COUNT - 1


@pytest.mark.long
def test_gradients_that_a_dead_worker_had_not_pushed_are_counted(tmp_path: Path) -> None:
    """It pushes after every fifth gradient, and dies when it asks for its tenth."""
    algorithm = replace(PLAIN, n_push=5, n_fetch=5, local_lr=1.0)
    known = Known(algorithm, tmp_path, 12, meet=True)
    applied, _, tally = ran(RayEngine(), known)
    check_ledger(applied, tally)
    assert (tally.lost_gradients, tally.lost_pushes) == (4, 0)
    assert applied.sum() == COUNT - 4


@pytest.mark.long
def test_a_worker_killed_while_it_is_idle_loses_nothing(tmp_path: Path) -> None:
    """The second waits until the first has made 80 updates, and is killed after 20."""
    known = Known(replace(PLAIN, warm_start=80), tmp_path)

    def kill(progress: Progress) -> None:
        if progress.gradients == 20:
            os.kill(known.lives(1)[0], signal.SIGKILL)

    applied, _, tally = ran(RayEngine(), known, watch=kill)
    assert (applied == 1).all()
    assert (tally.restarts, tally.lost_gradients, tally.lost_pushes) == (1, 0, 0)


@pytest.mark.long
def test_a_worker_killed_in_a_round_is_not_waited_for() -> None:
    """It is not begun anew; the other goes on without it."""
    _, _, tally = ran(RayEngine(restarts=0), Synchronous("sgd", lr=1.0), watch=Strikes("Worker"))
    assert (tally.restarts, tally.undealt) == (0, 0)
    assert tally.lost_gradients <= 1
    assert tally.receipts.total() + tally.lost_pushes in (COUNT - 1, COUNT)


@pytest.mark.long
def test_nobody_waits_for_a_first_worker_that_died_alone(tmp_path: Path) -> None:
    """The others are to begin after many updates of the first."""
    known = Known(replace(PLAIN, warm_start=80), tmp_path, 10, rank=0)
    applied, _, tally = ran(RayEngine(restarts=0), known)
    check_ledger(applied, tally)
    assert (tally.released, tally.lost_gradients, tally.undealt) == (1, 1, 0)


# Workers are paused.


@pytest.mark.long
def test_a_worker_that_is_paused_for_thirty_seconds_goes_on_where_it_was() -> None:
    begun = time.monotonic()
    pause = Strikes("Worker", again=signal.SIGCONT, apart=30.0)
    applied, updates, tally = ran(RayEngine(), PLAIN, watch=pause)
    assert time.monotonic() - begun > 30
    assert (applied == 1).all()
    assert updates == tally.receipts[Outcome.APPLIED] == COUNT
    assert (tally.restarts, tally.lost_gradients) == (0, 0)
    assert max(tally.staleness) > 10, "its gradient was old when it came"


@pytest.mark.long
def test_a_gradient_that_was_paused_for_too_long_is_refused_and_counted() -> None:
    """Twenty updates are the bound of two workers by default."""
    pause = Strikes("Worker", again=signal.SIGCONT, apart=5.0)
    applied, _, tally = ran(RayEngine(), replace(PLAIN, staleness=None), watch=pause)
    check_ledger(applied, tally)
    assert tally.receipts[Outcome.STALE] >= 1
    assert tally.receipts.total() == COUNT


@pytest.mark.long
def test_a_worker_that_never_answers_is_given_up(tmp_path: Path) -> None:
    known = Known(PLAIN, tmp_path, 10, kind=signal.SIGSTOP)
    applied, _, tally = ran(RayEngine(timeout=5.0), known)
    check_ledger(applied, tally)
    assert (tally.undealt, tally.lost_gradients, tally.lost_pushes) == (0, 1, 1)
    stopped = Path("/proc") / str(known.lives(1)[0])
    wait_until(lambda: not stopped.exists(), 20.0)


# Shards.


@pytest.mark.long
@pytest.mark.parametrize("kinds", [("Server",), ("Server", "Worker")])
def test_a_shard_that_is_killed_goes_on_from_its_snapshot(
    kinds: tuple[str, ...], tmp_path: Path
) -> None:
    """Alone, or together with a worker."""
    engine = RayEngine(snapshot_every=8, snapshots=tmp_path)
    applied, updates, tally = ran(engine, PLAIN, watch=Strikes(*kinds))
    check_ledger(applied, tally)
    assert applied.sum() == updates
    assert (tally.restored, tally.undealt) == (1, 0)
    assert tally.lost_updates < 8
    assert tally.lost_gradients == tally.restarts == kinds.count("Worker")
    unanswered = updates + tally.lost_updates - tally.receipts[Outcome.APPLIED]
    assert 0 <= unanswered <= tally.receipts[Outcome.UNKNOWN] + tally.lost_pushes <= 2
    assert_safetensors(tmp_path)


def assert_safetensors(folder: Path) -> None:
    """Fail where anything else has been left than snapshots and counts, which no code can be in."""
    import safetensors.torch

    left = [path for path in folder.rglob("*") if path.is_file()]
    snapshots = [path for path in left if path.suffix == ".safetensors"]
    assert snapshots
    assert {path.name for path in set(left) - set(snapshots)} <= {"ledger", "lock"}
    for path in snapshots:
        safetensors.torch.load_file(path)
    assert all(path.stat().st_size == 32 for path in left if path.name == "ledger")


@pytest.mark.long
def test_a_shard_of_a_large_model_comes_back() -> None:
    """What a shard is made of travels in another way where it is more than 100 kB."""
    applied, updates, tally = ran(
        RayEngine(snapshot_every=8), PLAIN, watch=Strikes("Server"), width=20_000
    )
    check_ledger(applied, tally)
    assert applied.sum() == updates
    assert (tally.restored, tally.undealt) == (1, 0)


@pytest.mark.long
def test_rounds_go_on_after_the_death_of_their_shard() -> None:
    engine = RayEngine(snapshot_every=8)
    _, _, tally = ran(engine, Synchronous("sgd", lr=1.0), watch=Strikes("Server"))
    assert tally.restored == 1
    assert tally.undealt == tally.lost_gradients == 0


@pytest.mark.long
def test_a_shard_that_is_paused_applies_what_was_sent_twice_once() -> None:
    """Pushes are sent again after a sixth of the timeout."""
    pause = Strikes("Server", again=signal.SIGCONT, apart=4.0)
    applied, updates, tally = ran(RayEngine(timeout=12.0), PLAIN, watch=pause)
    assert tally.resent >= 1
    assert (applied == 1).all()
    assert updates == tally.receipts.total() == COUNT


# Everything, at any time.

TIMEOUT = 30.0


@contextmanager
def harm(seed: int, begun: threading.Event) -> Iterator[list[str]]:
    """Kill and pause what is there, at random times after the beginning; yield what was struck."""
    random, over, struck = np.random.default_rng(seed), threading.Event(), list[str]()
    older, events = actors(), []
    for kind in random.permutation(["kill Worker", "pause Worker", "kill Server"] * 2)[:4]:
        events.append((kind, *random.uniform((0.0, 0.2), (1.0, 1.0)), random.integers(100)))

    def strike() -> None:
        begun.wait()
        for kind, wait, lasts, choice in events:
            over.wait(wait)
            found = sorted(set(descendants(f"ray::{kind.split()[1]}")) - older)
            if over.is_set() or not found:
                continue
            with suppress(ProcessLookupError):
                target = found[choice % len(found)]
                os.kill(target, signal.SIGKILL if "kill" in kind else signal.SIGSTOP)
                struck.append(str(kind))
                if "pause" in kind:
                    over.wait(lasts)
                    os.kill(target, signal.SIGCONT)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield struck
    finally:
        over.set()
        begun.set()
        thread.join()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_random_faults_neither_hang_nor_apply_twice_nor_lose_unnoticed(seed: int) -> None:
    begun, start, shards = threading.Event(), time.monotonic(), 1 + seed % 2
    engine = RayEngine(timeout=TIMEOUT, snapshot_every=5, seed=seed)
    with harm(seed, begun) as struck:
        applied, updates, tally = ran(
            engine, PLAIN, shards=shards, every=5, watch=lambda progress: begun.set()
        )
    check_ledger(applied, tally)
    assert struck
    assert tally.restored <= struck.count("kill Server")
    assert tally.restarts <= struck.count("kill Worker")
    assert tally.lost_updates <= 5 * struck.count("kill Server")
    if shards == 1:
        assert applied.sum() == updates
    assert time.monotonic() - start < 3 * TIMEOUT
