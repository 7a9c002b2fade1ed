"""``emoface serve``: the page, until Ctrl-C. ``app.py``, the entry of a Hugging Face Space, runs the same.

The environment configures it on a Space, options do so on the command line: EMOFACE_MODEL (--model), EMOFACE_DEVICE (--device),
EMOFACE_STUDY (--study), EMOFACE_MAX_SECONDS, EMOFACE_HOSTS (names the page answers to), and Gradio's own GRADIO_SERVER_NAME (--host) and GRADIO_SERVER_PORT (--port).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from ..errors import EmoFaceError


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("serve", description="Run the app until Ctrl-C.")
    parser.add_argument("--host", help="0.0.0.0 to be reachable from other machines (default: this one only)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument(
        "--model", default=os.environ.get("EMOFACE_MODEL"), metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)"
    )
    parser.add_argument("--device", default=os.environ.get("EMOFACE_DEVICE", "auto"), choices=("auto", "cpu", "cuda"), help="default: auto")
    parser.add_argument("--study", default=os.environ.get("EMOFACE_STUDY"), metavar="DIR", help="folder of a user study: adds its tab")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    from ..ui.scratch import scratch_folder

    signal.signal(signal.SIGTERM, _interrupt)
    with scratch_folder():
        _open_page(arguments)


def _interrupt(*_) -> None:
    """A polite end (SIGTERM) tidies up like Ctrl-C."""
    raise KeyboardInterrupt


def _open_page(arguments: argparse.Namespace) -> None:
    try:
        from ..ui.app import build_app, launch_options
        from ..ui.context import SPEECH_EXAMPLES
        from ..ui.hosts import trust_proxies
    except ModuleNotFoundError as error:
        raise EmoFaceError(f'The page needs the package {error.name}: pip install "emoface[app]", or in a checkout -r requirements.txt.') from None
    trust_proxies()
    page = build_app(model=arguments.model, device=arguments.device, study=arguments.study)
    if page.emoface.notice:
        print(f"emoface: {page.emoface.notice}", file=sys.stderr)
    _reach_itself()
    page.launch(
        server_name=arguments.host, server_port=arguments.port, prevent_thread_lock=True, **launch_options(page, study=arguments.study is not None)
    )
    # The model warms up while the first visitor looks at the example, and not before the page is up.
    threading.Thread(target=page.emoface.engine.warm_up, args=(SPEECH_EXAMPLES[0].path,), daemon=True).start()
    page.block_thread()


def _reach_itself() -> None:
    """Gradio asks its own server whether it has started; a proxy (``http_proxy``) cannot know this machine's ports."""
    for name in ("no_proxy", "NO_PROXY"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        os.environ[name] = ",".join([*hosts, *(host for host in ("localhost", "127.0.0.1", "0.0.0.0") if host not in hosts)])
