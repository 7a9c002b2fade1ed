"""What every tab is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import gradio as gr

from ..animation import EMOTIONS
from ..resources import ASSETS
from .engine import Engine
from .rooms import Rooms
from .sessions import Sessions

EXAMPLES = ASSETS / "examples"
# Served from there: Gradio's copies in its cache would be shared with visitors' uploads, and go with them.
gr.set_static_paths([EXAMPLES])


@dataclass(frozen=True)
class Example:
    """A short recording that one click animates."""

    label: str
    file: str

    @property
    def path(self) -> str:
        """Where the file is."""
        return str(EXAMPLES / self.file)


SPEECH_EXAMPLES = (
    Example("Narrator", "narrator.wav"),
    Example("Angry", "angry.wav"),
    Example("Disgusted", "disgusted.wav"),
    Example("Sad", "sad.wav"),
    Example("Fearful", "fearful.wav"),
)
"""The model recognises each as the emotion of its name (a test); this holds for none of the free happy recordings."""


@dataclass(frozen=True)
class Context:
    """What the tabs of one page share."""

    engine: Engine
    styles: Sequence[str]
    """Speaking styles of the model; the first is the default."""
    heads: bool
    """Whether the model moves the embedded head, of which there are 24."""
    voice_rest: bool = False
    """Whether the model can compare a voice with a neutral sentence of the same person."""
    sessions: Sessions = field(default_factory=Sessions)
    rooms: Rooms = field(default_factory=Rooms)
    """Who speaks live."""
    opening: bool = True
    """Show the precomputed examples of ``assets/examples`` when the page opens."""
    emotions: Sequence[str] = EMOTIONS
    """Those that the model can be asked for by name."""
    notice: str | None = None
    """What was wrong with the model that was asked for, when the embedded one took its place."""
