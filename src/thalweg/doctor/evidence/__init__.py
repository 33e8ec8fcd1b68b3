"""What a check may look at, as plain data that a test can write down by hand."""

from thalweg.doctor.evidence.courses import Course
from thalweg.doctor.evidence.curves import Curve
from thalweg.doctor.evidence.evidence import KINDS, Costs, Evidence, Kind
from thalweg.doctor.evidence.facts import (
    AverageFacts,
    GroupFacts,
    ModelFacts,
    ModuleFacts,
    OptimizerFacts,
    OtherFacts,
    ParameterFacts,
    SchedulerFacts,
)
from thalweg.doctor.evidence.owed import (
    Curvature,
    GradientCheck,
    LossSlice,
    Mismatch,
    Neighbours,
    NoiseScale,
)
from thalweg.doctor.evidence.seen import (
    FailedProbe,
    Inputs,
    LabelBatch,
    LayerProbe,
    NonFinite,
    ParameterProbe,
    Probe,
    Step,
    Units,
    Validation,
)

__all__ = [
    "KINDS",
    "AverageFacts",
    "Costs",
    "Course",
    "Curvature",
    "Curve",
    "Evidence",
    "FailedProbe",
    "GradientCheck",
    "GroupFacts",
    "Inputs",
    "Kind",
    "LabelBatch",
    "LayerProbe",
    "LossSlice",
    "Mismatch",
    "ModelFacts",
    "ModuleFacts",
    "Neighbours",
    "NoiseScale",
    "NonFinite",
    "OptimizerFacts",
    "OtherFacts",
    "ParameterFacts",
    "ParameterProbe",
    "Probe",
    "SchedulerFacts",
    "Step",
    "Units",
    "Validation",
]
