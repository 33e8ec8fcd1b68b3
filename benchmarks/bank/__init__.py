"""A bank of trainings that are known to be ill or healthy, for the doctor to be held against."""

from .judging import Verdict, judge, summary, tables
from .registry import runs
from .run import Run

__all__ = ["Run", "Verdict", "judge", "runs", "summary", "tables"]
