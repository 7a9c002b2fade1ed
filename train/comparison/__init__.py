"""What :mod:`train.compare` is made of: its data, its measures, its numbers and its page."""
