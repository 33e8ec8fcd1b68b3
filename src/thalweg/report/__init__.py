"""What a person sees: tables and progress in a terminal, and pages that open without a network."""

from thalweg.report.catalogue import card, family_tree, listing, schedule_listing, sheet
from thalweg.report.file import check_path
from thalweg.report.page import page
from thalweg.report.progress import follow
from thalweg.report.runs import exported, run_comparison, run_listing
from thalweg.report.table import summary, table

__all__ = [
    "card", "check_path", "exported", "family_tree", "follow", "listing", "page", "run_comparison",
    "run_listing", "schedule_listing", "sheet", "summary", "table",
]  # fmt: skip
