"""Turning other people's recordings into training data: VOCASET, 3D-RAVDESS from FLAME codes, any talking-face videos."""
