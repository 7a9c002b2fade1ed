"""Other methods, each in one readable file, on our data: written from their papers' descriptions; FaceFormer's and CodeTalker's
originals (MIT) were also read, so that their published weights fit by name. SelfTalk's published weights are renamed (``official.py``).

:data:`METHODS` names them; :mod:`train.compare` trains and measures all of them alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .codetalker import CodeTalker
from .common import Baseline, DataShape
from .emoface import EmoFace
from .emotalk import EmoTalk
from .faceformer import FaceFormer
from .meshtalk import MeshTalk
from .selftalk import SelfTalk
from .talkingstyle import TalkingStyle
from .voca import Voca


@dataclass(frozen=True)
class Method:
    title: str
    """As the paper calls it."""
    paper: str
    kind: type[Baseline]
    """Its defaults are the paper's size."""
    told: str
    """What it is told besides the speech."""
    small: dict = field(default_factory=dict)
    """Sizes of the comparison on a CPU."""
    rate: float = 5e-3
    """Learning rate of the comparison."""
    licence: str = ""
    """Of the original's code, of which nothing was copied."""

    def build(self, data: DataShape, *, small: bool = True, **changes) -> Baseline:
        return self.kind(data, **{**(self.small if small else {}), **changes})


METHODS = {
    "voca": Method("VOCA", "CVPR 2019, 1905.03079", Voca, "speaker", licence="MPI, non-commercial"),
    "meshtalk": Method("MeshTalk", "ICCV 2021, 2104.08223", MeshTalk, "-", dict(heads=16, categories=32, hidden=128), licence="CC BY-NC 4.0"),
    "faceformer": Method("FaceFormer", "CVPR 2022, 2112.05329", FaceFormer, "speaker", licence="MIT"),
    "codetalker": Method(
        "CodeTalker",
        "CVPR 2023, 2301.02379",
        CodeTalker,
        "speaker",
        dict(hidden=128, layers=2, tokens=8, size=16, entries=128, code_layers=2, code_heads=4, code_feedforward=192),
        licence="MIT",
    ),
    "emotalk": Method(
        "EmoTalk", "ICCV 2023, 2303.11089", EmoTalk, "speaker, level", dict(content=96, emotion=64, condition=16), licence="CC BY-NC 4.0"
    ),
    "selftalk": Method("SelfTalk", "ACM MM 2023, 2306.10799", SelfTalk, "-", dict(hidden=128, reader_layers=2), licence="CC BY-NC 4.0"),
    "talkingstyle": Method("TalkingStyle", "TVCG 2024", TalkingStyle, "speaker", dict(layers=3), licence="none stated"),
    "emoface": Method(
        "EmoFace (ours)", "2408.11518", EmoFace, "speaker, level", dict(hidden_size=64, feedforward_size=128), licence="this repository"
    ),
}

__all__ = ["METHODS", "Baseline", "DataShape", "Method"]
