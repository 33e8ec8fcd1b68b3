"""The family of rules: computed from their trees, so that nobody has to be believed."""

from typer.testing import CliRunner

from thalweg.cli import app
from thalweg.rules import adam, adamw, amsgrad, catalogue, lamb, momentum, nesterov, sgd
from thalweg.rules.family import family, operations


def test_every_rule_hangs_from_one_that_was_joined_before_it():
    kin = family(catalogue.values())
    seen = []
    for each in kin:
        assert each.parent in seen or each.rule is sgd
        seen.append(each.rule)
    assert set(seen) == set(catalogue.values())


def test_relatives_are_the_ones_a_lecture_would_name():
    parents = {each.rule: each.parent for each in family(catalogue.values())}
    assert parents[momentum] is sgd
    assert parents[nesterov] is momentum
    assert parents[amsgrad] is adam
    assert parents[adamw] is adam
    assert parents[lamb] is adamw


def test_the_difference_is_that_of_their_operations():
    (kin,) = (each for each in family([adam, amsgrad]) if each.parent)
    assert kin.more == (operations(amsgrad) - operations(adam)).total() == 2
    assert kin.less == (operations(adam) - operations(amsgrad)).total() == 1


def test_the_command_draws_all_of_them():
    shown = CliRunner().invoke(app, ["rules", "--family"])
    assert shown.exit_code == 0
    assert all(key in shown.output for key in catalogue)


def test_the_family_is_not_drawn_of_one_rule():
    shown = CliRunner().invoke(app, ["rules", "adam", "--family"])
    assert shown.exit_code == 2
    assert "leave out KEY" in shown.output
