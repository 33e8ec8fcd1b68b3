"""Trainings with several workers on screen, while they run and afterwards, and on their page."""
