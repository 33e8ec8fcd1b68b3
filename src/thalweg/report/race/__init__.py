"""A race on screen and on its page."""
