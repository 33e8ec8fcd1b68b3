r"""Turns the names in a rule into the symbols of a formula: beta1 → \beta_1, v_hat → \hat{v}."""

import math
import re

_GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu",
     "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"}
)  # fmt: skip
_FIELD = {
    "lr": r"\eta", "base_lr": r"\eta_{\mathrm{base}}", "max_lr": r"\eta_{\max}",
    "lr_decay": r"\gamma", "eps": r"\epsilon", "momentum": r"\mu", "dampening": r"\tau",
    "weight_decay": r"\lambda", "momentum_decay": r"\psi", "rho_inf": r"\rho_{\infty}",
    "etaminus": r"\eta^{-}", "etaplus": r"\eta^{+}", "step": r"\Delta", "p_new": r"\theta'",
    "step_size_min": r"s_{\min}", "step_size_max": r"s_{\max}", "trust_coefficient": r"\kappa",
    "decay_steps": "T", "periods": "n", "noise_eta": r"\eta_{\mathrm{noise}}",
    "noise_gamma": r"\gamma_{\mathrm{noise}}", "ema_decay": r"\beta_{\mathrm{ema}}",
    "average_start": r"t_{\mathrm{start}}", "d_model": r"d_{\mathrm{model}}",
}  # fmt: skip
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde"}


def letter(name: str, time: str = "") -> str:
    r"""Return a variable's name as a symbol, at a *time* such as ``t-1`` if it has one."""
    base, index = _base_and_index(name)
    return base + _below(",".join(filter(None, (index, time))))


def word(name: str, time: str = "") -> str:
    """Return a variable's name as it is spelled, for where its symbol means something else."""
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}" + _below(time)


def _below(index: str) -> str:
    if re.fullmatch(r"|\w|\\infty", index):
        return index and f"_{index}"
    return f"_{{{index}}}"


def _base_and_index(name: str) -> tuple[str, str]:
    if name in _FIELD:
        base, _, index = _FIELD[name].partition("_")
        return base, index.removeprefix("{").removesuffix("}")
    stem, _, last = name.rpartition("_")
    if stem and last in _ACCENTS:
        base, index = _base_and_index(stem)
        return f"{_ACCENTS[last]}{{{base}}}", index
    if stem and last == "prime":
        base, index = _base_and_index(stem)
        return f"{{{base}}}'" if "^" in base else f"{base}'", index
    if last.isalpha() and _is_letter(stem.rstrip("0123456789")):
        base, index = _base_and_index(stem)
        mark = rf"\{last}" if last in ("min", "max") else rf"\mathrm{{{last}}}"
        return f"{base}^{{{mark}}}", index
    base = name.rstrip("0123456789")
    return _plain(base.removesuffix("_")), name[len(base) :]


def _is_letter(name: str) -> bool:
    return len(name) == 1 or name in _GREEK


def _plain(name: str) -> str:
    if name in _GREEK:
        return rf"\{name}"
    return name if len(name) == 1 else word(name)


def number(value: float) -> str:
    """Return a number as a paper prints it: 1, 0.999, 10^{-8}."""
    if value == math.pi:
        return r"\pi"
    text = f"{value:.12g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    return text.replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")
