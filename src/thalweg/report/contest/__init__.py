"""A contest on screen and on its page."""
