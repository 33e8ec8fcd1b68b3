"""thalweg: an update rule is written once, as the equation in its paper; the rest is derived."""

__version__ = "0.1.0"
