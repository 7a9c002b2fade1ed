"""The training corpus of the embedded model: real GRID motion, and speech animated from aligned phones."""
