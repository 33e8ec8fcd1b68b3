"""What a person sees: tables and progress in a terminal, and pages that open without a network."""

from thalweg.report.catalogue import card, family_tree, listing, sheet
from thalweg.report.costing import costs
from thalweg.report.file import check_page, check_path
from thalweg.report.plot import plot
from thalweg.report.race.history import race_listing
from thalweg.report.race.progress import follow
from thalweg.report.results import page, summary
from thalweg.report.runs import exported, member_listing, run_comparison, run_listing
from thalweg.report.schedules import endpoints, schedule_listing, schedule_sheet
from thalweg.report.study.progress import follow_training
from thalweg.report.teams.progress import follow_teams

__all__ = [
    "card", "check_page", "check_path", "costs", "endpoints", "exported", "family_tree", "follow",
    "follow_teams", "follow_training", "listing", "member_listing", "page", "plot", "race_listing",
    "run_comparison", "run_listing", "schedule_listing", "schedule_sheet", "sheet", "summary",
]  # fmt: skip
