"""Trainings of one problem, one or several, on screen and on their page."""
