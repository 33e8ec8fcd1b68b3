"""Factors are found where there are some, and pairs that cannot be rated are refused."""

from typing import Any

import numpy as np
import pytest

from thalweg import rules
from thalweg.errors import BadType, BadValue
from thalweg.parallel import HogwildFactorization
from thalweg.parallel.hogwild.factorization import rating_loops
from thalweg.rules import rule

USERS, ITEMS, RANK = 120, 80, 3


def ratings(seed: int = 0, noise: float = 0.05):
    """A third of a matrix of rank three with biases, and as many pairs held out."""
    random = np.random.default_rng(seed)
    full = random.normal(size=(USERS, RANK)) @ random.normal(size=(ITEMS, RANK)).T
    full += random.normal(size=(USERS, 1)) + random.normal(size=ITEMS) + 3
    pairs = random.permutation(USERS * ITEMS)[: 2 * USERS * ITEMS // 3]
    users, items = np.divmod(pairs, ITEMS)
    values = full[users, items] + noise * random.normal(size=len(pairs))
    half = len(pairs) // 2
    return (users[:half], items[:half], values[:half]), (users[half:], items[half:], values[half:])


def error(model: HogwildFactorization, held_out) -> float:
    users, items, values = held_out
    return float(np.square(model.predict(users, items) - values).mean() / values.var())


@pytest.mark.parametrize(
    ("each", "eta0"),
    [("sgd", 0.05), ("adagrad", 0.2), (rules.adam, 0.01)],
    ids=("sgd", "adagrad", "adam"),
)
def test_it_finds_the_factors_of_a_matrix_that_has_some(each, eta0) -> None:
    known, held_out = ratings()
    model = HogwildFactorization(
        RANK,
        alpha=0.005,
        rule=each,
        eta0=eta0,
        max_iter=150,
        back_off=0.99,
        random_state=0,
        n_jobs=1,
    ).fit(*known)
    assert error(model, held_out) < 0.03


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_find_them_too(threads: int) -> None:
    known, held_out = ratings()
    model = HogwildFactorization(
        RANK, alpha=0.005, max_iter=150, back_off=0.99, random_state=0, n_jobs=threads
    ).fit(*known)
    assert error(model, held_out) < 0.03
    assert model.n_threads_ == threads
    assert 0 <= model.conflict_rate_ < 1
    assert model.speed_up_ > 0


def test_one_thread_and_a_seed_give_the_same_bits() -> None:
    known, _ = ratings()
    first, second, other = (
        HogwildFactorization(RANK, max_iter=2, random_state=seed, n_jobs=1).fit(*known)
        for seed in (1, 1, 2)
    )
    assert (first.user_factors_ == second.user_factors_).all()
    assert (first.user_factors_ != other.user_factors_).any()


@rule("Leaning")
def leaning(g, p, m=0.5, *, t, lr=0.05, mu=0.3):
    """Read the parameter, keep state and look at the clock."""
    b = mu * m + g
    return lr * b / t + 0.01 * p, b


def test_a_loop_makes_the_updates_of_its_rule() -> None:
    """Both rows of a rating see each other as they were before it, factor by factor."""
    random = np.random.default_rng(0)
    users, items = np.array([0, 1, 0], np.uint32), np.array([2, 3, 3], np.uint32)
    values, rank, alpha, mean = np.array([1.0, -0.5, 0.3], np.float32), 2, 0.1, 0.2
    p = random.normal(size=(4, rank + 1)).astype(np.float32)
    state = leaning.init(p)["m"]
    table = np.concatenate([p, state], axis=1)
    order, none = np.arange(3, dtype=np.uint32), np.zeros(0, np.int64)
    hypers = np.array(list(leaning.settings().values()))
    rating_loops(leaning).ratings(
        users, items, values, order, mean, alpha, rank,
        table, np.zeros(0), hypers, none, 0, 3, 1, 1,
    )  # fmt: skip
    for t, (user, item, value) in enumerate(zip(users, items, values, strict=True), 1):
        slope = mean + p[user, -1] + p[item, -1] + p[user, :-1] @ p[item, :-1] - value
        both = np.array([user, item])
        across = np.concatenate([p[both[::-1], :-1], np.ones((2, 1), np.float32)], axis=1)
        g = (slope * across + alpha * p[both]).astype(np.float32)
        p[both], new = leaning.update(p[both], g, {"m": state[both]}, t=t)
        state[both] = new["m"]
    np.testing.assert_allclose(table, np.concatenate([p, state], axis=1), rtol=1e-5, atol=1e-6)


def test_who_has_no_rating_is_expected_at_the_mean() -> None:
    (users, items, values), _ = ratings()
    model = HogwildFactorization(2, max_iter=2, random_state=0).fit(
        users, items, values, shape=(USERS + 1, ITEMS + 1)
    )
    assert model.predict([USERS], [ITEMS]) == pytest.approx(values.mean())


def test_ratings_may_have_any_scale() -> None:
    (users, items, values), _ = ratings()
    settings: dict[str, Any] = {"rank": 2, "max_iter": 3, "random_state": 0, "n_jobs": 1}
    plain = HogwildFactorization(**settings).fit(users, items, values)
    large = HogwildFactorization(**settings).fit(users, items, 1e4 * values + 7)
    np.testing.assert_allclose(
        large.predict(users, items), 1e4 * plain.predict(users, items) + 7, rtol=1e-3, atol=10
    )


@pytest.mark.parametrize(
    ("users", "items", "values", "kind", "words"),
    [
        ([0.5], [0], [1.0], BadType, "users has shape .* float64"),
        ([[0]], [0], [1.0], BadType, "users has shape"),
        ([-1], [0], [1.0], BadValue, "users has numbers from -1"),
        ([0], [2**40], [1.0], BadValue, "items has numbers"),
        ([], [], [], BadValue, "users is empty"),
        ([0, 1], [0], [1.0], BadValue, "2 users, 1 items and 1 ratings"),
        ([0], [0], [float("nan")], BadValue, "NaN or infinity"),
        ([0], [0], ["good"], BadType, "expected one number each"),
    ],
)
def test_pairs_that_cannot_be_learned_are_refused(users, items, values, kind, words) -> None:
    with pytest.raises(kind, match=words):
        HogwildFactorization().fit(users, items, values)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"rank": 0}, BadValue, "rank=0"),
        ({"alpha": -0.1}, BadValue, "alpha=-0.1"),
        ({"eta0": float("inf")}, BadValue, "eta0=inf"),
        ({"rule": rules.lars}, BadType, "looks beyond one weight"),
        ({"n_jobs": -2}, BadValue, "n_jobs=-2"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, kind, words) -> None:
    with pytest.raises(kind, match=words):
        HogwildFactorization(**settings).fit([0], [0], [1.0])


def test_what_was_not_learned_is_not_predicted() -> None:
    with pytest.raises(BadValue, match="call fit"):
        HogwildFactorization().predict([0], [0])
    model = HogwildFactorization(2, max_iter=1).fit([0, 1], [0, 1], [1.0, 2.0])
    with pytest.raises(BadValue, match="users has the number 2, but 2 were learned"):
        model.predict([2], [0])
    with pytest.raises(BadValue, match="shape="):
        HogwildFactorization().fit([0, 5], [0, 1], [1.0, 2.0], shape=(3, 3))


def test_divergence_is_an_error_that_says_what_to_do() -> None:
    known, _ = ratings()
    with pytest.raises(BadValue, match="set eta0 lower"):
        HogwildFactorization(eta0=1e4, n_jobs=1).fit(*known)
