"""What is wrong with this training, why, on what evidence, and what exactly to change."""

from thalweg.doctor.check import Check, catalogue, check, find_check
from thalweg.doctor.diagnosis import Diagnosis, diagnose
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.examining import Examination, examine
from thalweg.doctor.finding import Finding
from thalweg.doctor.rates.advice import Advice
from thalweg.doctor.rates.suggesting import suggest_lr
from thalweg.doctor.watching.session import Watch
from thalweg.doctor.watching.session import Watch as watch

__all__ = [
    "Advice",
    "Check",
    "Diagnosis",
    "Evidence",
    "Examination",
    "Finding",
    "Watch",
    "catalogue",
    "check",
    "diagnose",
    "examine",
    "find_check",
    "suggest_lr",
    "watch",
]
