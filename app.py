"""The EmoFace page: ``python app.py``, and the entry of a Hugging Face Space.

The environment configures it on a Space, options do so on the command line: EMOFACE_MODEL (--model), EMOFACE_DEVICE (--device),
EMOFACE_STUDY (--study), EMOFACE_MAX_SECONDS, and Gradio's own GRADIO_SERVER_NAME (--host) and GRADIO_SERVER_PORT (--port).
"""

from __future__ import annotations

import argparse
import os
import sys
import threading

try:  # before torch, where a Space lends GPUs
    import spaces  # noqa: F401
except ImportError:
    pass

from emoface.errors import EmoFaceError
from emoface.ui.app import build_app, launch_options


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Open the EmoFace page.")
    parser.add_argument("--host", help="0.0.0.0 to be reachable from other machines (default: this machine only)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--model", default=os.environ.get("EMOFACE_MODEL"), metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)")
    parser.add_argument("--device", default=os.environ.get("EMOFACE_DEVICE", "auto"), choices=("auto", "cpu", "cuda"))
    parser.add_argument("--study", default=os.environ.get("EMOFACE_STUDY"), metavar="DIR", help="folder of a user study: adds its tab")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    try:
        page = build_app(model=options.model, device=options.device, study=options.study)
    except EmoFaceError as error:
        print(f"emoface: {error}", file=sys.stderr)
        return 2
    if page.emoface.notice:
        print(f"emoface: {page.emoface.notice}", file=sys.stderr)
    page.launch(server_name=options.host, server_port=options.port, prevent_thread_lock=True, **launch_options())
    # The model loads while the first visitor looks at the example, and not before the page is up.
    threading.Thread(target=lambda: page.emoface.engine.pipeline, daemon=True).start()
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
