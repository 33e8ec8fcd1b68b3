"""Which pictures show what a finding says."""

from __future__ import annotations

from collections.abc import Mapping

PICTURES: Mapping[str, tuple[str, ...]] = {
    "GD101": ("losses", "gradients"),
    "GD102": ("losses",),
    "GD103": ("gradients",),
    "GD104": ("updates",),
    "GD201": ("losses", "rates"),
    "GD202": ("losses", "rates"),
    "GD203": ("losses", "rates", "spectrum"),
    "GD204": ("losses", "gradients"),
    "GD205": ("losses", "rates"),
    "GD206": ("losses", "gradients"),
    "GD207": ("spectrum", "losses"),
    "GD208": ("spectrum", "losses"),
    "GD209": ("updates", "losses"),
    "GD301": ("activity", "histograms"),
    "GD302": ("activity", "histograms"),
    "GD303": ("gradients", "histograms"),
    "GD304": ("gradients", "histograms"),
    "GD305": ("gradients",),
    "GD306": ("gradients",),
    "GD307": ("losses", "histograms"),
    "GD308": ("losses", "histograms"),
    "GD309": ("losses",),
    "GD401": ("gradients",),
    "GD402": ("updates",),
    "GD403": ("updates",),
    "GD404": ("updates",),
    "GD405": ("rates", "losses"),
    "GD406": ("rates", "losses"),
    "GD407": ("rates", "losses"),
    "GD408": ("rates", "losses"),
    "GD409": ("losses",),
    "GD410": ("gradients",),
    "GD501": ("inputs",),
    "GD502": ("losses",),
    "GD503": ("losses",),
    "GD504": ("losses",),
    "GD506": ("losses",),
    "GD507": ("losses",),
}
"""By the code of a finding the pictures that show it, the one that says most first."""


def pictures(code: str) -> tuple[str, ...]:
    """Return the names of the pictures that show a finding, the loss where nothing else is said."""
    return PICTURES.get(code, ("losses",))
