"""Speech emotion recognition: labelled recordings of many voices, no motion. ``python -m train.recognition``."""
