"""EmoFace: emotion-content disentangled speech-driven 3D talking face animation (arXiv 2408.11518).

``import emoface`` is light (numpy); torch and friends load with the first name that needs them.
"""

from importlib import import_module

from . import export as _export  # noqa: F401  (teaches Animation.save and .load the file formats)

__version__ = "0.1.0"

_HOME = {
    "Animation": ".animation",
    "EmoFaceConfig": ".configuration",
    "EmoFaceError": ".errors",
    "EmoFaceModel": ".modeling",
    "EmoFacePipeline": ".pipeline",
    "EmoFaceStreamer": ".streaming",
    "Head": ".head",
    "LiveSession": ".live",
    "load_audio": ".audio",
    "load_head": ".head",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
