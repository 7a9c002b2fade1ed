"""Other people's recordings as training data: VOCASET, 3D-RAVDESS from FLAME codes, any talking-face videos."""
