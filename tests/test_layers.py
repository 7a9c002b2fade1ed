"""Imports point one way: no module needs one that needs it, and no floor of the package needs a floor above it."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = [
    ("emoface",),  # the library: speech, model, head, measures
    ("emoface.export",),  # animations as files: formats, films, the player's pack, colour scales
    ("emoface.study",),  # user studies, without their page
    ("emoface.ui",),  # the page, the viewer, the study's form
    ("emoface.cli", "emoface.__main__"),  # the command line
]


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """Modules of ``known`` that a file imports, anywhere in it: at the top, inside functions, for types."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # "from . import heads" means the module heads; "from .heads import NAMES" means heads as well.
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known and "." in node.value:
            found.add(node.value)  # import_module("emoface.cli.serve")
    return (found & known) - {name}


def floor(name: str) -> int:
    return max(i for i, names in enumerate(FLOORS) for top in names if name == top or name.startswith(top + "."))


@pytest.mark.parametrize("package", ["emoface", "train"])
def test_no_module_needs_one_that_needs_it(package):
    paths = modules(package)
    # A package's __init__ runs before its modules in any case; what only says "from .. import __version__" is no arrow between rooms.
    graph = {name: imports(name, path, set(paths)) - {package} for name, path in paths.items() if name != package}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_floor_needs_a_floor_above_it():
    paths = modules("emoface")
    arrows = [(name, other) for name, path in paths.items() if name != "emoface" for other in imports(name, path, set(paths))]
    assert len(arrows) > 200 and ("emoface.ui.viewer", "emoface.export.pack") in arrows, "the reader of imports sees nothing"
    assert [f"{name} -> {other}" for name, other in arrows if floor(other) > floor(name)] == []


def test_the_library_never_needs_training_or_the_tests():
    for path in modules("emoface").values():
        outside = imports(path.stem, path, {"train", "tests", *modules("train")})
        assert outside == set(), path


def test_only_the_page_and_what_opens_it_need_gradio():
    users = {name for name, path in modules("emoface").items() if imports(name, path, {"gradio", "plotly", "gradio.data_classes"})}
    assert users and {name for name in users if not name.startswith("emoface.ui")} == set()


def test_one_module_looks_outside_the_package():
    """In a wheel there is nothing outside: only emoface/resources.py may leave its own folder by way of ``__file__``."""
    climbs = re.compile(r"__file__\)(\.resolve\(\)|\.absolute\(\))?\.(parents\[[1-9]|parent\.parent)")
    assert climbs.search("Path(__file__).resolve().parent.parent") and climbs.search("Path(__file__).resolve().parents[2]")
    assert [path.name for path in modules("emoface").values() if climbs.search(path.read_text("utf-8"))] == []
