"""Tracing: the signature is the schema, and two texts of one algorithm are one tree."""

import gc
import weakref

import pytest

from thalweg.algebra import (
    Rank,
    constant,
    equations,
    first_gradient,
    from_hyper,
    latex,
    levels,
    norm,
    parse,
    ranks,
    scalar,
    source,
    sqrt,
    sum_launch,
    symbol,
    trace,
    where,
)
from thalweg.algebra.latex import letter, number
from thalweg.errors import BadType, BadValue
from thalweg.rules import (
    adam,
    adamw,
    catalogue,
    chain,
    clip_by_global_norm,
    decay,
    ema_average,
    momentum,
    nadam,
    rule,
    sgdw,
    variants,
)


def test_what_nobody_holds_is_forgotten():
    step, first = trace("def told(g, m=0, *, lr=0.1):\n    return 0.1234567 * lr * g, m")
    remembered = weakref.ref(step)
    del step, first
    gc.collect()
    assert remembered() is None


def test_trace_returns_an_interned_tuple():
    assert trace(adam) is trace(adam)
    assert isinstance(trace(adam), tuple)


def test_two_texts_of_one_algorithm_are_the_same_object():
    def my_adam(g, exp_avg=0, exp_avg_sq=0, *, t, lr=1.0, beta1=0.5, beta2=0.5, eps=0.1):
        first = beta1 * exp_avg + (1 - beta1) * g
        second = beta2 * exp_avg_sq + (1 - beta2) * (g * g)
        corrected = first / (1 - beta1**t)
        return lr * corrected / (sqrt(second / (1 - beta2**t)) + eps), first, second

    assert trace(my_adam) is trace(adam)


def test_compositions_are_the_trees_they_stand_for():
    assert trace(chain(adam, decay)) is trace(adamw)
    assert trace(chain(decay, momentum)) is trace(sgdw)
    assert trace(chain(chain(adam, decay), ema_average)) is trace(chain(adam, decay, ema_average))


@pytest.mark.parametrize("rule", [*catalogue.values(), *variants.values()], ids=lambda r: r.key)
def test_source_traces_back(rule):
    assert trace(source(rule)) is trace(rule)


def test_signature_says_what_each_parameter_is():
    def f(g, p, m=0, s=from_hyper("lr"), b=first_gradient, k=scalar(1.0), *, t, lr=0.1):
        """Do nothing."""

    schema = parse(f)
    assert schema.inputs == ("g", "p")
    assert [repr(each) for each in schema.slots.values()] == [
        "0.0", 'from_hyper("lr")', "first_gradient", "scalar(1.0)",
    ]  # fmt: skip
    assert list(schema.hyperparameters) == ["lr"]
    assert schema.clock


def test_a_slot_of_the_first_gradient_is_explicit_in_the_tree():
    step, buffer = trace(momentum)
    assert buffer.op == "where"
    assert buffer.args[0] is (symbol("clock", "t") <= 1)
    assert buffer.args[1] is symbol("input", "g")
    assert step is symbol("hyper", "lr") * buffer


def test_a_rule_with_too_few_results_is_refused():
    def forgetful(g, m=0, *, lr=0.1):
        return lr * g

    with pytest.raises(BadValue, match="expected 2: the step, then .* each state slot"):
        trace(forgetful)


def test_a_result_that_is_no_expression_is_refused():
    def absent_minded(g, *, lr=0.1):
        return None

    with pytest.raises(BadType, match="returned NoneType"):
        trace(absent_minded)


def test_a_number_is_a_result_too():
    def restarting(g, m=0, *, lr=0.1):
        return lr * (g + m), 0.0

    assert trace(restarting)[1] is constant(0.0)


def test_a_slot_that_begins_strangely_is_refused():
    with pytest.raises(BadType, match="from_hyper"):
        parse(lambda g, m="zero": g)


def test_a_rule_must_take_a_gradient():
    with pytest.raises(BadType, match="gradient g"):
        rule("Nothing")(lambda p: p)


def test_ranks_hoist_what_no_element_touches():
    g, lr, t = symbol("input", "g"), symbol("hyper", "lr"), symbol("clock", "t")
    uniform, total = lr / (1 - 0.9**t), sqrt(sum_launch(g * g))
    root = uniform * g / total
    known = ranks([root])
    assert known[uniform] == Rank.UNIFORM
    assert known[total] == Rank.REDUCTION
    assert known[g * g] == Rank.ELEMENT
    assert known[root] == Rank.ELEMENT


def test_levels_count_passes_of_reductions():
    g = symbol("input", "g")
    clipped = g / norm(g)
    assert levels([norm(clipped)])[norm(clipped)] == 2


def test_an_unselected_branch_on_the_host_never_raises():
    from thalweg.algebra import evaluate

    t = symbol("clock", "t")
    root = where(t > 5, sqrt(t - 5) / (t - t), 1.0)
    assert evaluate((root,), [{t: 2}]) == [(1.0,)]


def test_formula_of_adam_reads_as_in_the_paper():
    assert equations(adam) == [
        r"g_t &= \nabla f(\theta_{t-1})",
        r"m_t &= \beta_1\,m_{t-1} + \left(1 - \beta_1\right)\,g_t",
        r"\hat{m}_t &= \frac{m_t}{1 - \beta_1^{t}}",
        r"v_t &= \beta_2\,v_{t-1} + \left(1 - \beta_2\right)\,g_t^2",
        r"\hat{v}_t &= \frac{v_t}{1 - \beta_2^{t}}",
        r"\theta_t &= \theta_{t-1} - \frac{\eta\,\hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}",
    ]


def test_the_average_is_printed_after_the_parameter_it_averages():
    lines = equations(chain(clip_by_global_norm, adam, ema_average))
    names = [line.partition(" &=")[0] for line in lines]
    assert names.index(r"\theta_t") < names.index(r"\bar{\theta}_t")


def test_next_and_timeless_values_are_indexed_as_such():
    assert any(line.startswith(r"\mu_{t+1} &=") for line in equations(nadam))
    assert any(line.startswith(r"\rho_\infty &=") for line in equations(catalogue["radam"]))


def test_no_exponent_stands_on_an_exponent():
    clipped = latex(chain(clip_by_global_norm, adam))
    assert r"{g'_t}^2" in clipped


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("beta1", r"\beta_1"),
        ("lr", r"\eta"),
        ("v_hat", r"\hat{v}"),
        ("max_norm", r"\mathrm{max\_norm}"),
    ],
)
def test_names_become_symbols(name, printed):
    assert letter(name) == printed


@pytest.mark.parametrize(("value", "printed"), [(1.0, "1"), (1e-8, "10^{-8}"), (0.96, "0.96")])
def test_numbers_print_as_in_a_paper(value, printed):
    assert number(value) == printed
