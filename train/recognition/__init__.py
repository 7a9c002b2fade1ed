"""Learning to hear an emotion: labelled recordings of many voices, no motion. ``python -m train.recognition``."""
