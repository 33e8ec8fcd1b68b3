"""A bank of trainings that are known to be ill or healthy, for the doctor to be held against."""

from .judging import Verdict, judge, summary, tables
from .registry import runs
from .run import Run, faulty

__all__ = ["Run", "Verdict", "faulty", "judge", "runs", "summary", "tables"]
