"""The pictures of a race, each a function of its result, in the plain form that plotly.js draws."""

from thalweg.report.race.figures.curves import curves
from thalweg.report.race.figures.strips import finals, times
from thalweg.report.race.figures.tuning import budget, near, sensitivity

__all__ = ["budget", "curves", "finals", "near", "sensitivity", "times"]
