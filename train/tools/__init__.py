"""Conversion, publishing, benchmarks, checks of the page, and pictures: what is run by hand around the model."""
