"""A printed formula is valid LaTeX, reads one way only, and shows everything a rule keeps."""

import re

import pytest

from thalweg.algebra import equations, initial_values, latex, maximum, sum_tensor, where
from thalweg.algebra.letters import letter
from thalweg.rules import (
    Rule,
    catalogue,
    chain,
    clip_by_global_norm,
    decay,
    ema_average,
    lamb,
    lars,
    rprop,
    rule,
    sgd,
    sgdw_paper,
    transform,
    transforms,
    variants,
)

EVERY: list[Rule] = [*catalogue.values(), *variants.values()]
EVERY += [chain(each, catalogue["momentum"]) for each in transforms.values()]
every_rule = pytest.mark.parametrize("each", EVERY, ids=lambda each: each.key)
REFUSED = re.compile(r"\\(operatorname|mbox|phantom|def|newcommand|require|unicode)\b")


def line_of(name: str, of: Rule) -> str:
    (found,) = [line for line in equations(of) if line.startswith(f"{name} &= ")]
    return found.partition(" &= ")[2]


@every_rule
def test_braces_and_environments_are_closed(each):
    text = latex(each)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert re.findall(r"\\begin\{(\w+)\}", text).count("cases") == text.count(r"\end{cases}")


@every_rule
def test_no_symbol_has_two_indices_or_two_exponents(each):
    for line in [*equations(each), *initial_values(each)]:
        assert not re.search(r"_(\w|\{[^{}]*\})_", line)
        assert not re.search(r"(\^\{[^{}]*\}|')(\^|')", line)


@every_rule
def test_github_renders_every_macro(each):
    """GitHub's Markdown refuses some macros of MathJax, operatorname among them."""
    assert not REFUSED.search(latex(each))


@every_rule
def test_every_value_is_defined_once(each):
    names = [line.partition(" &=")[0] for line in equations(each)]
    assert len(set(names)) == len(names)


@every_rule
def test_state_that_begins_is_worked_out_again(each):
    defined = {line.partition(" &= ")[0] for line in equations(each)}
    begun = {line.partition("_0 = ")[0] for line in initial_values(each)}
    assert {f"{name}_t" for name in begun} <= defined


def test_a_choice_within_a_choice_is_one_block():
    factor = line_of(r"\mathrm{factor}_t", rprop)
    assert factor.count("cases") == 2
    assert r"\text{else if } \mathrm{agreement}_t < 0 \\ 1 & \text{otherwise}" in factor


def test_a_choice_within_the_chosen_value_joins_its_conditions():
    ratio = line_of("r_t", lars)
    assert r"\text{if } w_t > 0 \text{ and } n_t > 0 \\ 1 & \text{otherwise}" in ratio


def test_what_remains_of_the_outer_condition_follows():
    @rule("Chooser")
    def chooser(g, p, *, lr=0.1):
        x = where(g > 0, where(p > 0, 1, 2), 3)
        return lr * x

    assert line_of("x_t", chooser) == (
        r"\begin{cases} 1 & \text{if } g_t > 0 \text{ and } \theta_{t-1} > 0 \\ "
        r"2 & \text{else if } g_t > 0 \\ 3 & \text{otherwise} \end{cases}"
    )


def test_a_step_that_is_a_choice_has_a_line():
    assert line_of(r"\theta_t", catalogue["radam"]) == r"\theta_{t-1} - \Delta_t"


def test_norms_are_printed_as_norms():
    assert line_of("w_t", lamb) == r"\left\lVert \theta_{t-1} \right\rVert"
    assert r"\left\lVert g_t \right\rVert_{\text{all}}" in latex(chain(clip_by_global_norm, sgd))


def test_a_sum_with_a_name_keeps_it():
    @rule("Named sum")
    def named(g, *, lr=0.1):
        total = sum_tensor(g * g)
        return lr * g / (total**0.5 + total)

    assert line_of(r"\mathrm{total}_t", named) == r"\textstyle\sum_{\text{tensor}} g_t^2"


def test_state_assigned_under_its_own_name_has_no_prime():
    @rule("In place")
    def in_place(g, m=0, *, lr=0.1, beta=0.9):
        m = beta * m + g
        return lr * m, m

    assert line_of("m_t", in_place) == r"\beta\,m_{t-1} + g_t"


def test_state_without_a_name_for_its_new_value_keeps_its_own():
    @rule("Nameless")
    def nameless(g, m=0, *, lr=0.1):
        return lr * m, 0.5 * m + g

    assert line_of("m_t", nameless) == r"0.5\,m_{t-1} + g_t"
    assert initial_values(nameless) == ["m_0 = 0"]


def test_a_kept_gradient_and_a_copy_of_other_state_have_lines():
    @rule("Keeper")
    def keeper(g, prev=0, m=0, copy=0, *, lr=0.1):
        b = m + g
        return lr * (b - prev) * copy, g, b, b

    assert line_of(r"\mathrm{prev}_t", keeper) == "g_t"
    assert line_of(r"\mathrm{copy}_t", keeper) == "b_t"


def test_numbered_state_has_one_index():
    @rule("Numbered")
    def numbered(g, m1=0, m2=0, *, lr=0.1):
        m1 = 0.5 * m1 + g
        return lr * (m1 + m2), m1, m2 + m1

    assert line_of("m_{1,t}", numbered) == r"0.5\,m_{1,t-1} + g_t"
    assert line_of("m_{2,t}", numbered) == r"m_{2,t-1} + m_{1,t}"


def test_names_that_would_share_a_symbol_do_not():
    @rule("Two rates")
    def two_rates(g, *, lr=0.1, eta=0.2):
        return lr * eta * g

    assert line_of(r"\theta_t", two_rates) == r"\theta_{t-1} - \eta\,\mathrm{eta}\,g_t"


def test_a_minus_after_a_sign_is_set_apart():
    @rule("Signs")
    def signs(g, p, *, lr=0.1):
        return lr * -g - -p

    assert line_of(r"\theta_t", signs) == (
        r"\theta_{t-1} - \left(\eta\,\left(-g_t\right) - \left(-\theta_{t-1}\right)\right)"
    )


def test_a_remainder_of_a_product_is_set_apart():
    remainder = line_of("f_t", variants["powersign_restart"])
    assert r"\frac{\left(n\,\left(t - 1\right)\right) \bmod T}{T}" in remainder


def test_a_fraction_on_a_fraction_stands_before_it():
    assert line_of(r"\theta_t", catalogue["adamax"]).endswith(
        r"\frac{\eta}{1 - \beta_1^{t}}\,\frac{m_t}{u_t}"
    )


def test_a_piece_of_a_chain_does_not_rename_what_it_is_given():
    """The velocity of momentum passes through decay as its argument `step`."""
    assert line_of("v_t", sgdw_paper) == r"\mu\,v_{t-1} + \eta\,g_t"


def test_a_changed_parameter_is_what_the_last_line_says():
    @transform("floor")
    def floor_at_zero(p_new):
        return maximum(p_new, 0)

    whole = chain(sgd, decay, floor_at_zero, ema_average)
    assert line_of(r"\theta_t", whole) == r"\max\left(\theta'_t, 0\right)"
    assert line_of(r"\bar{\theta}_t", whole).endswith(r"\theta_t")


def test_the_first_update_is_called_so():
    assert r"g_t & \text{if } t = 1 \\" in latex(catalogue["momentum"])


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("beta_2", r"\beta_2"),
        ("beta12", r"\beta_{12}"),
        ("v_max", r"v^{\max}"),
        ("theta_slow", r"\theta^{\mathrm{slow}}"),
        ("m1_hat", r"\hat{m}_1"),
        ("m1_prime", "m'_1"),
        ("v_max_prime", r"{v^{\max}}'"),
        ("rho_inf", r"\rho_\infty"),
        ("base_lr", r"\eta_{\mathrm{base}}"),
        ("momentum_buffer", r"\mathrm{momentum\_buffer}"),
    ],
)
def test_names_of_several_parts_become_one_symbol(name, printed):
    assert letter(name) == printed


@pytest.mark.parametrize(
    ("name", "printed"), [("m", "m_{t-1}"), ("m1", "m_{1,t-1}"), ("v_max", r"v^{\max}_{t-1}")]
)
def test_a_time_joins_the_index(name, printed):
    assert letter(name, "t-1") == printed
