"""A training that was examined, written down by hand: a net of two layers that is ill in five ways.

Its names hold what HTML and rich would take for their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thalweg.doctor import Diagnosis, Evidence, Examination, Finding
from thalweg.doctor.evidence import (
    Costs,
    Curvature,
    FailedProbe,
    GradientCheck,
    GroupFacts,
    Inputs,
    LayerProbe,
    LossSlice,
    ModelFacts,
    ModuleFacts,
    Neighbours,
    NoiseScale,
    OptimizerFacts,
    ParameterFacts,
    ParameterProbe,
    Probe,
    Step,
    Units,
    Validation,
)
from thalweg.training import Settings

MODULES = {
    "<first>": ModuleFacts("<first>", "Linear", "linear", parameters=("<first>.weight",)),
    "relu": ModuleFacts("relu", "ReLU", "activation"),
    "[last]": ModuleFacts("[last]", "Linear", "linear", parameters=("[last].weight",)),
}
MODEL = ModelFacts(
    "Net",
    {
        "<first>.weight": ParameterFacts("<first>.weight", (8, 4)),
        "[last].weight": ParameterFacts("[last].weight", (2, 8)),
    },
    MODULES,
    tuple(MODULES),
)


def probe(step: int, dead: float) -> Probe:
    """Return a probe of a net whose first gradient is a thousandth of the last one."""
    layers = {
        "<first>": LayerProbe((8, 8), 0.0, 1.0, edges=(-2.0, 0.0, 2.0), counts=(30, 34)),
        "relu": LayerProbe(
            (8, 8), 0.1, 0.2, zeros=dead, silent=dead, edges=(0.0, 1.0, 2.0), counts=(60, 4)
        ),
        "[last]": LayerProbe((8, 2), 0.0, 1.0, edges=(-1.0, 0.0, 1.0), counts=(9, 7)),
    }
    parameters = {
        "<first>.weight": ParameterProbe(gradient=1e-3, weight=2.0, update=2e-6),
        "[last].weight": ParameterProbe(gradient=1.0, weight=2.0, update=2e-3),
    }
    return Probe(step, parameters, layers)


EVIDENCE = Evidence(
    model=MODEL,
    optimizer=OptimizerFacts("SGD", [GroupFacts({"lr": 0.5}, tuple(MODEL.parameters))], rule="sgd"),
    steps=[Step(k, 2.0 * 0.98**k, (0.5 if k <= 50 else 0.05,)) for k in range(1, 101)],
    probes=[probe(1, 0.25), probe(50, 0.5), probe(100, 0.75)],
    units={"relu": Units(8, 2, 640, begun=6)},
    inputs=Inputs(
        ["feature 0", "feature 1"], np.array([0.0, 500.0]), np.array([1.0, 9.0]),
        np.array([-2.0, 480.0]), np.array([2.0, 520.0]), 320,
    ),
    validations=[Validation(0, 2.1), Validation(50, 1.4), Validation(100, 1.6)],
    curvature=Curvature(
        100, 80.0, -4.0, 1e-3, (0.024, 0.025), quantile=0.1, gradient=0.2,
        spectrum=[(-4.0, 0.1), (0.1, 0.8), (80.0, 0.1)],
    ),
    noise=NoiseScale(100, 300.0, 100.0, float("inf"), 32),
    gradient_check=GradientCheck(1e-7),
    neighbours=Neighbours(256, 0.9, 0.5),
    loss_slice=LossSlice(100, [-1.0, 0.0, 1.0], [0.9, 0.3, float("inf")], [2.0, 0.3, 0.2]),
    costs=Costs(run=2.1, watching=0.1, ending=1.5),
)  # fmt: skip

FINDINGS = [
    Finding(
        "error", 0.9, "lr=0.05 is 2 times the largest stable rate.", "lr=0.05 → 0.012",
        {"lr": 0.05, "stable_lr": (0.024, 0.025)}, code="GD203", name="unstable learning rate",
        reference="Cohen et al. 2021",
    ),
    Finding(
        "error", 0.8, "75% of the units were zero.", "lr=0.5 → 0.05", {"units": 8, "share": 0.75},
        "relu", code="GD301", name="dead ReLU", reference="Lu et al. 2020",
    ),
    Finding(
        "warning", 0.7, "The gradient falls a thousandfold to <first>.", "a [bold] <change>",
        {"ratio": 1e-3}, "<first>", 7, code="GD303", name="vanishing gradients", reference="Them",
    ),
    Finding(
        "warning", 0.6, "And to another.", "another <change>", {"ratio": 2e-3}, "second", 7,
        code="GD303", name="vanishing gradients", reference="Them",
    ),
    Finding(
        "warning", 0.5, "Features differ.", "scale them", code="GD501", name="inputs badly scaled"
    ),
    Finding("remark", 0.5, "The batch could be larger.", "batch 32 → 64"),
]  # fmt: skip

DIAGNOSIS = Diagnosis(
    FINDINGS, {"GD303": "GD301"}, {"GD102": "the gradient: no time was left"},
    [FailedProbe("noise", "it broke")], 100, EVIDENCE.costs,
)  # fmt: skip
ILL = Examination(
    "points", Settings(rule="sgd", lr=0.5, batch=32, epochs=3, seed=4), EVIDENCE, DIAGNOSIS
)
WELL = replace(ILL, diagnosis=Diagnosis(FINDINGS[-1:], updates=100, costs=EVIDENCE.costs))
