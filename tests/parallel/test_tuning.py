"""Rates for simulations are those that serve one worker without delay best."""

from typing import Any

import pytest

from thalweg import parallel, problems
from thalweg.errors import BadType, BadValue
from thalweg.parallel import Algorithm, Downpour, Elastic, Serving, tuned
from thalweg.rules import find

TERMS: dict[str, Any] = {"epochs": 1, "batch": 256}


def test_each_algorithm_gets_the_rate_with_the_lowest_loss_of_one_worker():
    digits, rates = problems.load("digits"), (1e-6, 0.03, 1e4)
    given = {"downpour": Downpour(), "easgd": Elastic()}
    found = dict(tuned(digits, given, rates, **TERMS))
    assert list(found) == ["downpour", "easgd"]
    losses = {}
    for rate in rates:
        result = parallel.fit(
            digits.make_model(0), digits.loss, digits.train, digits.validation,
            algorithm=Downpour(lr=rate), **TERMS,
        )  # fmt: skip
        losses[rate] = result.history[-1].judged
    assert found["downpour"] == Downpour(lr=min(losses, key=lambda rate: losses[rate]))
    assert isinstance(found["easgd"], Elastic)


def test_an_algorithm_that_diverges_at_every_rate_is_refused_by_name():
    with pytest.raises(BadValue, match="downpour diverged with one worker at every rate.*1e\\+30"):
        list(tuned("digits", {"downpour": Downpour()}, (1e30,), **TERMS))


def test_rates_must_be_there_and_not_negative():
    with pytest.raises(BadValue, match="rates is empty"):
        list(tuned("digits", {"easgd": Elastic()}, ()))
    with pytest.raises(BadValue, match="a rate"):
        list(tuned("digits", {"easgd": Elastic()}, (-0.1,)))


def test_an_algorithm_without_a_rate_cannot_be_tuned():
    class Rateless(Algorithm):
        def serving(self, workers):
            return Serving(find("sgd"), {"lr": 0.1})

        def script(self, seat):
            yield from ()

    with pytest.raises(BadType, match="with a learning rate lr"):
        list(tuned("digits", {"mine": Rateless()}, (0.1,)))
