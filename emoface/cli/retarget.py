"""``emoface retarget``: an animation on a head of your own."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import check_output


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "retarget",
        description="Put an animation on your own head: by the names of its ARKit shapes, or by carrying ours over to a head mesh with ten landmarks.",
        epilog="python -m emoface retarget clip.npz --mesh head.glb -o clip.glb",
    )
    add = parser.add_argument
    add("animation", type=Path, metavar="ANIMATION", help="what EmoFace writes, or a Live Link Face take (.csv)")
    add("--mesh", type=Path, required=True, metavar="HEAD", help=".glb (with ARKit shapes or without), .obj or .ply")
    add(
        "--landmarks",
        type=Path,
        metavar="FILE.json",
        help="for heads without ARKit shapes: ten names, each with a vertex number or [x, y, z] (docs/programs.md)",
    )
    add("-o", "--output", type=Path, required=True, metavar="OUT.glb")
    parser.set_defaults(run=_retarget)


def _retarget(arguments: argparse.Namespace) -> None:
    from ..export import load
    from ..export.retarget import retarget

    check_output(arguments.output, arguments.animation, arguments.mesh)
    done = retarget(load(arguments.animation), arguments.mesh, arguments.output, landmarks=arguments.landmarks)
    how = (
        "by name"
        if done.mean_mm is None
        else f"carried over; our face lies {done.mean_mm:.2f} mm from the mesh on average, 95 % within {done.p95_mm:.2f} mm (on a head of our size)"
    )
    print(f"{arguments.output}: {done.shapes} shapes move, {how}")
    if done.missing:
        print(f"not there: {' '.join(done.missing)}")
