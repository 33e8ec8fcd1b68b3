"""A race is fair: equal trials at the same points, judged on fresh seeds, and no test set seen."""

import math
from typing import Annotated

import pytest
from fabricated import Trainer, header, valley

from thalweg.algebra import Range
from thalweg.racing.protocol import EXTENSIONS, chosen, expected, follow
from thalweg.racing.result import FINAL, REFERENCE_FINAL, REFERENCE_TRIAL, TRIAL
from thalweg.racing.sampling import Sampler, sampler, samplers
from thalweg.rules import rule

MIDDLE = {key: math.sqrt(axis.low * axis.high) for key, axis in (
    (key, header(key).spaces[key].axes[0]) for key in ("sgd", "adam", "adamw", "momentum")
)}  # fmt: skip
"""The middle of each rule's search."""


def central(task):
    """Be lowest in the middle of each rule's search, whichever the rule."""
    return valley(MIDDLE[task.rule])(task)


def places(given, tasks, name="lr"):
    """Where on its rule's first axis each task lies, from 0 to 1."""
    return [
        next(a for a in given.spaces[task.rule].axes if a.name == name).unit(task.setting[name])
        for task in tasks
    ]


@rule("Reckless")
def reckless(g, *, lr: Annotated[float, Range(low=0.0, search=(1e-2, 1e1))] = 1.0):
    """Step along the gradient."""
    return lr * g


@rule("Capped")
def capped(g, *, lr: Annotated[float, Range(0.0, 1.0, search=(1e-3, 1.0))] = 0.1):
    """Step along the gradient, at a learning rate of at most 1."""
    return lr * g


@pytest.mark.parametrize("name", samplers)
@pytest.mark.parametrize("trials", [2, 5, 16])
def test_every_rule_has_the_same_number_of_trials_and_the_reference_four_times_as_many(
    name, trials
):
    train = Trainer(central)
    given = header("sgd", "adam", "adamw", trials=trials, sampler=name)
    course = follow(given, train)
    more = sum(map(len, train.calls)) - expected(given)
    counts = [len(train.asked(key, TRIAL)) for key in given.rules]
    assert len(set(counts)) == 1
    assert counts[0] >= trials
    assert len(train.asked("adamw", REFERENCE_TRIAL)) == 3 * counts[0]
    if not course.extended:
        assert counts[0] == trials
        assert more in (0, given.terms.seeds)


def test_all_rules_are_tried_at_the_same_points_of_one_sobol_sequence():
    train, given = Trainer(central), header("sgd", "adam", "adamw", seed=7)
    follow(given, train)
    points = sampler("sobol", 1, seed=7).ask(64)
    for key in given.rules:
        wanted = [given.spaces[key].settings(point) for point in points[:16]]
        assert [task.setting for task in train.asked(key, TRIAL)] == wanted
    extra = [given.spaces["adamw"].settings(point) for point in points[16:]]
    assert [task.setting for task in train.asked("adamw", REFERENCE_TRIAL)] == extra


def test_rules_that_lack_a_searched_hyperparameter_are_tried_at_the_same_learning_rates():
    train, given = Trainer(central), header("sgd", "adam", search=("lr", "beta1"))
    follow(given, train)
    few, many = (train.asked(key, TRIAL) for key in given.rules)
    assert {tuple(task.setting) for task in few} == {("lr",)}
    assert {tuple(task.setting) for task in many} == {("lr", "beta1")}
    assert places(given, few) == pytest.approx(places(given, many), abs=0.002)


def test_learning_rates_are_tried_evenly_over_decades():
    train, given = Trainer(central), header("sgd", trials=16, reference=None)
    follow(given, train)
    found = places(given, train.asked("sgd", TRIAL))
    assert sorted(int(16 * place) for place in found) == list(range(16))


def test_a_grid_reaches_from_end_to_end_for_the_reference_as_for_all():
    train, given = Trainer(central), header("sgd", "adamw", sampler="grid")
    follow(given, train)
    for key in given.rules:
        found = places(given, train.asked(key, TRIAL))
        assert found == pytest.approx([k / 15 for k in range(16)], abs=0.002)
    assert len({task.setting["lr"] for task in train.asked("adamw", REFERENCE_TRIAL)}) == 48


def test_all_rules_come_before_the_next_point():
    train = Trainer(central)
    follow(header("sgd", "adam", trials=4, reference=None), train)
    assert [task.rule for task in train.calls[0]] == ["sgd", "adam"] * 4


def test_all_trials_begin_at_the_same_weights_and_order_of_the_data():
    train = Trainer(central)
    follow(header("sgd", "adam", seed=5), train)
    assert {task.seed for task in train.calls[0]} == {5}


def test_the_best_setting_of_each_rule_is_run_with_fresh_seeds_the_same_for_all():
    train, given = Trainer(central), header("sgd", "adam", "adamw", seed=5, seeds=3)
    follow(given, train)
    for key in given.rules:
        finals = train.asked(key, FINAL)
        best = min(train.asked(key, TRIAL), key=central)
        assert [task.seed for task in finals] == [6, 7, 8]
        assert [task.setting for task in finals] == [best.setting] * 3


def test_other_seeds_of_a_race_try_other_points():
    first, other = (Trainer(central) for _ in "12")
    follow(header("sgd", seed=0), first)
    follow(header("sgd", seed=1), other)
    assert first.calls[0][0].setting != other.calls[0][0].setting


def test_a_trial_that_failed_is_never_chosen_and_counts_as_infinite():
    def loss(task):
        return math.inf if task.setting["lr"] > 0.1 else -task.setting["lr"]

    course = follow(given := header("sgd", reference=None), Trainer(loss))
    best = chosen(given, [run for run in course.runs if run.task.phase == TRIAL])
    assert best.task.setting["lr"] <= 0.1
    values = [run.value("loss") for run in course.runs if run.task.setting["lr"] > 0.1]
    assert values
    assert set(values) == {math.inf}


def test_of_equal_trials_the_first_is_chosen():
    train = Trainer(lambda task: 0.0)
    course = follow(header("sgd", reference=None, seeds=1), train)
    assert course.runs[-1].task.setting == train.calls[0][0].setting


@pytest.mark.parametrize(("best", "side"), [(1e-9, "low"), (1e9, "high")])
def test_a_winner_on_the_boundary_extends_the_search_for_every_rule_at_most_twice(best, side):
    def loss(task):
        return valley(best)(task) if task.rule == "sgd" else central(task)

    train, given = Trainer(loss), header("sgd", "adam", "adamw")
    course = follow(given, train)
    assert course.extended == (("lr", side),) * EXTENSIONS == (("lr", side),) * 2
    for key in given.rules:
        before, after = given.spaces[key].axes[0], course.spaces[key].axes[0]
        assert after.width == pytest.approx(before.width + 2, abs=0.01)
        beyond = places(given, train.asked(key, TRIAL)[16:])
        assert len(beyond) == 10
        assert all(place <= 0.001 if side == "low" else place >= 0.999 for place in beyond)
        assert len(train.asked(key, TRIAL)) == 26
    assert len(train.asked("adamw", TRIAL, REFERENCE_TRIAL)) == 4 * 26


def test_what_is_added_is_tried_as_densely_as_the_space_was():
    train, given = Trainer(valley(1e9)), header("sgd", trials=48, reference=None)
    follow(given, train)
    width = given.spaces["sgd"].axes[0].width
    trials = [place * width - width for place in places(given, train.asked("sgd", TRIAL))]
    assert [sum(k < place <= k + 1 for place in trials) for k in (-3, -2, -1, 0, 1)] == [16] * 5


def test_a_part_that_is_wider_in_another_dimension_has_more_trials_there():
    def loss(task):
        rate = math.log10(task.setting["lr"] / 0.003)
        momentum = -math.log10(1 - task.setting["beta1"])
        if task.rule == "adam":
            return 0.01 * abs(momentum - 1.7) - rate
        return 0.01 * abs(rate) - momentum

    given = header("adam", "nadam", search=("lr", "beta1"), sampler="grid", reference=None)
    train = Trainer(loss)
    assert follow(given, train).extended == (("beta1", "high"), ("lr", "high")) * 2
    lr, beta = (axis.width for axis in given.spaces["adam"].axes)
    areas = [lr * 1, 1 * (beta + 1), (lr + 1) * 1, 1 * (beta + 2)]
    sizes = [len(call) // 2 for call in train.calls[1:-1]]
    assert sizes == [round(16 * area / (lr * beta)) for area in areas]
    assert sizes[0] < sizes[2]


def test_a_winner_in_the_middle_extends_nothing():
    train = Trainer(central)
    assert follow(header("sgd", "adam"), train).extended == ()
    assert len(train.calls) == 2


def test_both_ends_are_extended_where_rules_win_at_either():
    def loss(task):
        return valley(1e-9 if task.rule == "sgd" else 1e9)(task)

    course = follow(header("sgd", "adam", reference=None), Trainer(loss))
    assert course.extended == (("lr", "high"), ("lr", "low")) * 2


def test_a_rule_that_always_diverges_extends_nothing_and_runs_its_seeds_all_the_same():
    def loss(task):
        return math.inf if task.rule == "sgd" else central(task)

    train = Trainer(loss)
    course = follow(header("sgd", "adam", seeds=3), train)
    assert course.extended == ()
    assert len(train.asked("sgd", FINAL)) == 3


def test_a_rule_whose_space_ends_there_tries_as_many_more_points():
    def loss(task):
        return valley(1e9 if task.rule == "reckless" else 0.03)(task)

    train, given = Trainer(loss), header(reckless, capped, reference=None)
    course = follow(given, train)
    assert course.extended == (("lr", "high"),) * 2
    assert len(train.asked("capped", TRIAL)) == len(train.asked("reckless", TRIAL)) == 26
    assert course.spaces["capped"] == given.spaces["capped"]
    settings = {task.setting["lr"] for task in train.asked("capped", TRIAL)}
    assert len(settings) > 20
    assert max(settings) <= 1.0


def test_at_the_end_of_what_is_legal_nothing_is_extended():
    train = Trainer(valley(1e9))
    course = follow(header(capped, reference=None), train)
    assert course.extended == ()
    assert len(train.asked("capped", TRIAL)) == 16


def lucky(setting):
    """Return a loss that is lowest at one setting of AdamW, and else in the middle."""

    def loss(task):
        return -1.0 if (task.rule, task.setting) == ("adamw", setting) else central(task)

    return loss


def test_the_extra_trials_of_the_reference_choose_for_the_target_alone():
    given = header("sgd", "adamw", seeds=2)
    twentieth = given.spaces["adamw"].settings(sampler("sobol", 1).ask(20)[-1])
    train = Trainer(lucky(twentieth))
    follow(given, train)
    own = min(train.asked("adamw", TRIAL), key=central).setting
    assert [task.setting for task in train.asked("adamw", FINAL)] == [own] * 2
    finals = train.asked("adamw", REFERENCE_FINAL)
    assert [task.setting for task in finals] == [twentieth] * 2
    assert [task.seed for task in finals] == [1, 2]


def test_the_reference_is_not_run_twice_with_the_setting_it_races_with():
    given = header("sgd", "adamw")
    third = given.spaces["adamw"].settings(sampler("sobol", 1).ask(3)[-1])
    train = Trainer(lucky(third))
    follow(given, train)
    assert train.asked("adamw", REFERENCE_FINAL) == []


def test_a_reference_that_does_not_race_is_trained_for_the_target_alone():
    train, given = Trainer(central), header("sgd", seeds=3)
    follow(given, train)
    assert train.asked("adamw", TRIAL, FINAL) == []
    assert len(train.asked("adamw", REFERENCE_TRIAL)) == 64
    assert len(train.asked("adamw", REFERENCE_FINAL)) == 3


@pytest.mark.parametrize("terms", [{"target": 0.5}, {"reference": None}])
def test_without_a_reference_to_set_the_target_nothing_is_trained_for_it(terms):
    train = Trainer(central)
    given = header("sgd", "adamw", seeds=3, **terms)
    follow(given, train)
    assert {task.phase for call in train.calls for task in call} == {TRIAL, FINAL}
    assert sum(map(len, train.calls)) == expected(given) == 2 * 19


def test_a_race_of_one_trial_is_a_race_of_defaults_and_extends_nothing():
    train = Trainer(central)
    course = follow(header("sgd", "adam", trials=1, seeds=2, reference=None), train)
    assert [task.setting for call in train.calls for task in call] == [{}] * 6
    assert course.extended == ()


@pytest.mark.parametrize("rules", [["sgd", "adamw"], ["sgd"]])
@pytest.mark.parametrize("name", samplers)
def test_in_a_race_of_defaults_the_reference_tries_its_default_and_three_points(rules, name):
    train, given = Trainer(central), header(*rules, trials=1, seeds=2, sampler=name)
    follow(given, train)
    first, *others = train.asked("adamw", TRIAL, REFERENCE_TRIAL)
    assert (first.setting, len(others)) == ({}, 3)
    assert all(others)
    assert all(set(task.setting) == {"lr"} for task in others)
    assert [task.setting for task in train.asked("sgd", TRIAL, FINAL)] == [{}] * 3


class Spy(Sampler):
    """Remembers what it was asked for and told; every point is a new one."""

    learns = True

    def __init__(self, dimensions, seed=0):
        super().__init__(dimensions, seed)
        self.log: list[tuple] = []
        self.points = iter(sampler("sobol", dimensions, seed).ask(512))
        spies.append(self)

    def ask(self, number):
        self.log.append(("ask", number))
        return [next(self.points) for _ in range(number)]

    def tell(self, point, loss):
        self.log.append((point, loss))


spies: list[Spy] = []


def test_a_sampler_that_learns_is_told_every_result_before_it_is_asked_again(monkeypatch):
    monkeypatch.setitem(samplers, "spy", Spy)
    spies.clear()
    given = header("sgd", "adamw", trials=8, sampler="spy")

    def loss(task):
        return math.inf if task.setting["lr"] > MIDDLE[task.rule] * 10 else central(task)

    train = Trainer(loss)
    follow(given, train)
    sgd, adamw = spies[:2]
    assert [entry[1] for entry in sgd.log if entry[0] == "ask"] == [2] * 4
    assert [entry[1] for entry in adamw.log if entry[0] == "ask"] == [2] * 16
    asked = 0
    for spy, key in ((sgd, "sgd"), (adamw, "adamw")):
        told = [entry for entry in spy.log if entry[0] != "ask"]
        tasks = train.asked(key, TRIAL, REFERENCE_TRIAL)
        assert [given.spaces[key].settings(point) for point, _ in told] == [
            task.setting for task in tasks
        ]
        assert [value for _, value in told] == [loss(task) for task in tasks]
        assert math.inf in [value for _, value in told]
        for entry in spy.log:
            if entry[0] == "ask":
                assert asked == 0
            asked += entry[1] if entry[0] == "ask" else -1


def test_the_reference_learns_from_its_own_trials_first_as_all_rules_do():
    train, given = Trainer(central), header("adam", "adamw", trials=8, sampler="bayesian")
    follow(given, train)
    adam, adamw = (places(given, train.asked(key, TRIAL)[:8]) for key in given.rules)
    assert adam[:2] == pytest.approx(adamw[:2], abs=0.002)
    assert len(adam) == len(adamw) == 8


@pytest.mark.parametrize("name", samplers)
def test_the_same_numbers_lead_to_the_same_trainings(name):
    first, again = (Trainer(valley(1e-9)) for _ in "12")
    given = header("sgd", "adamw", trials=4, sampler=name)
    assert follow(given, first) == follow(given, again)
    assert first.calls == again.calls


def test_a_space_with_fewer_settings_than_trials_repeats_them():
    @rule("Narrow")
    def narrow(g, *, lr: Annotated[float, Range(1.0, 1.004)] = 1.0):
        """Step along the gradient, at a learning rate that hardly varies."""
        return lr * g

    train = Trainer(lambda task: task.setting["lr"])
    course = follow(header(narrow, reference=None, seeds=1), train)
    trials = train.asked("narrow", TRIAL)
    assert len(trials) == 16
    assert len({task.key for task in trials}) <= 2
    assert course.runs[-1].task.setting == {"lr": 1.0}


def test_a_race_by_errors_chooses_by_errors():
    def loss(task):
        return task.setting["lr"]

    class Accurate(Trainer):
        """Is the more often right the higher the loss is."""

        def __call__(self, tasks):
            from dataclasses import replace

            def right(run):
                share = run.loss / (1 + run.loss)
                return replace(run, curve=(replace(run.curve[-1], validation_accuracy=share),))

            return [right(run) for run in super().__call__(tasks)]

    train = Accurate(loss)
    follow(header("sgd", metric="error", reference=None, seeds=1), train)
    lrs = [task.setting["lr"] for task in train.asked("sgd", TRIAL)]
    assert train.calls[-1][0].setting["lr"] == max(lrs)
