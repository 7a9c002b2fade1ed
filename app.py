"""The entry of a Hugging Face Space: ``python app.py [OPTIONS]`` is ``python -m emoface serve [OPTIONS]``."""

import sys

try:  # before torch, where a Space lends GPUs
    import spaces  # noqa: F401
except ImportError:
    pass

from emoface.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
