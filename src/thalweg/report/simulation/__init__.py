"""A simulation of parallel training on screen and on its page."""
