"""One name, several rules: `like` says whose is meant."""

import pytest

import thalweg
from thalweg.errors import BadType, UnknownName
from thalweg.rules import CONVENTIONS, adadelta_keras, adam, catalogue, find, nadam_paper, variants


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_is_a_registered_rule(name):
    for each in CONVENTIONS[name].values():
        assert {**catalogue, **variants}[each.key] is each


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_first_convention_is_what_the_bare_name_means(name):
    assert next(iter(CONVENTIONS[name].values())) is find(name)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_what_is_told_apart_differs_in_text_or_defaults(name):
    faces = {id(each): each for each in CONVENTIONS[name].values()}.values()
    seen = {(id(each.outputs), tuple(each.settings().items())) for each in faces}
    assert len(seen) == len(faces)


def test_an_optimizer_runs_the_convention_asked_for(leaf):
    assert thalweg.Optimizer([leaf], "nadam", like="paper").rule is nadam_paper
    assert thalweg.Optimizer([leaf], "adam", like="optax").rule is adam
    assert thalweg.Optimizer([leaf], "adadelta", like="keras").param_groups[0]["lr"] == 1e-3


def test_other_defaults_leave_the_tree_as_it_is():
    assert adadelta_keras.outputs is find("adadelta").outputs
    assert adadelta_keras.settings()["rho"] == 0.95


def test_a_convention_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(UnknownName, match="no radam like 'keras'.*torch, paper, optax"):
        find("radam", like="keras")
    with pytest.raises(UnknownName, match=r"'sgd' has one form only.*momentum, nesterov"):
        find("sgd", like="paper")
    with pytest.raises(UnknownName, match=r"like 'optx'\. Did you mean 'optax'\?"):
        find("adam", like="optx")


def test_a_rule_itself_has_one_convention(leaf):
    with pytest.raises(BadType, match="give the name, not a rule"):
        thalweg.Optimizer([leaf], adam, like="paper")
