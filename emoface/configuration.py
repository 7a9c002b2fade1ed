"""Configuration of :class:`emoface.modeling.EmoFaceModel`."""

from __future__ import annotations

from transformers import PretrainedConfig

from .animation import EMOTIONS, LEVELS


class EmoFaceConfig(PretrainedConfig):
    """Sizes and switches of the network; the defaults are ``emoface-mini``, the embedded model.

    Args:
        vertex_count: S, vertices that the network predicts (the skin of the embedded head; 5023 for FLAME).
        face_count: triangles of that surface; they are saved with the weights.
        fps: mesh frames per second.
        content_encoder: how to build the speech encoder (``emoface.encoders.SpeechEncoder``).
        emotion_encoder: the same for the emotion branch; None shares one pass of the content encoder between the branches.
        feature_size: C, width of the encoder's frames.
        feature_layers: L, how many of the encoder's last blocks are read.
        feature_mix: ``"learned"`` takes a learned mix of the L blocks through two temporal convolutions (mini), ``"last"``
            the last block as it is (the paper).
        content_layer: block on which the content's learned mix starts (0-based among the L read).
        emotion_layer: the same for the emotion.
        emotion_kernel: frames that the emotion's convolutions span (odd); 1 takes every frame by itself, before they are pooled.
        emotion_pooling: ``"statistics"`` gives the emotion branch attentive statistics of its source over a window of time (so no foreign
            words can reach the lips), ``"frame"`` every frame (the paper).
        emotion_window: width of that window, seconds (standard deviation of the Gaussian).
        voice_rest: whether the pooling was trained to measure a voice against its own rest (a neutral ``reference`` recording).
        emotion_commitment: how much of F_e is replaced by the vector learned for its most likely emotion, 0 ... 1
            (ours; the paper's is 0). A voice between two emotions otherwise gets a face between them, which nobody can name.
        prosody: whether loudness, pitch and accents of the speech are added to the emotion branch's input (``emoface.prosody``).
        hidden_size: d of the decoders.
        attention_heads: of the decoders' self-attention (FaceFormer's).
        feedforward_size: hidden units of the decoders' feed-forward layers.
        period: frames after which the decoders' positions repeat.
        window: frames that self-attention spans at most.
        dropout: in training, of the feature mixes and the decoders.
        feedback_frames: 1 (the paper): the decoder's input is its last frame. 2: the mean of its last two, which keeps it from trembling.
        motion_unit: metres per unit of the decoders' vertex layers.
        style_names: the training speakers, in one-hot order.
        default_style: used when the caller names none.
        level_names: emotion levels, in one-hot order.
        emotion_names: classes of the emotion classifier, in its order.
        fusion: ``"mesh_attention"`` or ``"add"`` (the paper's ablation).
        fusion_size: channels of the additive input and of the hidden layer; None means C/16.
        fusion_layers: 1 (weights are then additive in time and vertex) or 2.
        second_layer: ``"pointwise"`` or ``"spiral"``.
        spiral_length: kernel size K.
        spiral_dilation: step between the entries of the spiral that are taken.
        temporal_window: delta, frames that SpiralConv3D spans (1 = purely spatial).
        attention_smoothing: how many times the attention weight is averaged over each vertex's neighbours before the branches are fused
            (ours, the paper has none: 0). Without it neighbours may be torn apart by millimetres where the branches disagree.
        head: ``"embedded"`` when the topology is the embedded head's, else None.
        name: of the model, as it is shown.
    """

    model_type = "emoface"

    @classmethod
    def base(cls, **changes) -> EmoFaceConfig:
        """``emoface-base``, the paper's size: two wav2vec 2.0 base encoders (C = 768, one for words and one for emotion; the paper names
        neither), every frame taken by itself, d = 128, and FLAME's 5023 vertices. ``changes`` are arguments as above."""
        paper = dict(
            vertex_count=5023,
            face_count=9976,
            content_encoder={"name": "facebook/wav2vec2-base-960h"},
            emotion_encoder={"name": "superb/wav2vec2-base-superb-er"},
            feature_size=768,
            feature_layers=1,
            feature_mix="last",
            content_layer=0,
            emotion_layer=0,
            emotion_pooling="frame",
            head=None,
            name="emoface-base",
        )
        return cls(**{**paper, **changes})

    def __init__(
        self,
        *,
        vertex_count: int = 4326,
        face_count: int = 8608,
        fps: int = 30,
        content_encoder: dict | None = None,
        emotion_encoder: dict | None = None,
        feature_size: int = 384,
        feature_layers: int = 4,
        feature_mix: str = "learned",
        content_layer: int = 3,
        emotion_layer: int = 1,
        emotion_kernel: int = 5,
        emotion_pooling: str = "statistics",
        emotion_window: float = 0.75,
        voice_rest: bool = False,
        emotion_commitment: float = 0.0,
        prosody: bool = False,
        hidden_size: int = 128,
        attention_heads: int = 4,
        feedforward_size: int = 256,
        period: int = 30,
        window: int = 600,
        feedback_frames: int = 1,
        dropout: float = 0.1,
        motion_unit: float = 1e-3,
        style_names: list[str] | tuple[str, ...] = ("default",),
        default_style: str | None = None,
        level_names: list[str] | tuple[str, ...] = LEVELS,
        emotion_names: list[str] | tuple[str, ...] = EMOTIONS,
        fusion: str = "mesh_attention",
        fusion_size: int | None = None,
        fusion_layers: int = 2,
        second_layer: str = "pointwise",
        spiral_length: int = 9,
        spiral_dilation: int = 2,
        temporal_window: int = 9,
        attention_smoothing: int = 4,
        head: str | None = "embedded",
        name: str = "emoface-mini",
        **kwargs,
    ):
        _one_of("feature_mix", feature_mix, "learned", "last")
        emotion_pooling = "statistics" if emotion_pooling == "slow" else emotion_pooling  # its name in older files
        _one_of("emotion_pooling", emotion_pooling, "statistics", "frame")
        _one_of("fusion", fusion, "mesh_attention", "add")
        _one_of("second_layer", second_layer, "pointwise", "spiral")
        if fusion_layers not in (1, 2):
            raise ValueError("fusion_layers must be 1 or 2.")
        if feedback_frames not in (1, 2):
            raise ValueError("feedback_frames must be 1 or 2.")
        if hidden_size % attention_heads:
            raise ValueError("hidden_size must be divisible by attention_heads.")
        self.vertex_count, self.face_count, self.fps = vertex_count, face_count, fps
        self.content_encoder, self.emotion_encoder = content_encoder, emotion_encoder
        self.feature_size, self.feature_layers, self.feature_mix = feature_size, feature_layers, feature_mix
        self.motion_unit = motion_unit
        self.content_layer, self.emotion_layer = content_layer, emotion_layer
        if emotion_kernel % 2 == 0:
            raise ValueError("emotion_kernel must be odd.")
        self.emotion_kernel = emotion_kernel
        if voice_rest and emotion_pooling != "statistics":
            raise ValueError("voice_rest needs emotion_pooling 'statistics'.")
        self.emotion_pooling, self.emotion_window, self.voice_rest = emotion_pooling, emotion_window, voice_rest
        self.emotion_commitment, self.prosody = emotion_commitment, prosody
        self.hidden_size, self.attention_heads, self.feedforward_size = hidden_size, attention_heads, feedforward_size
        self.period, self.window, self.feedback_frames, self.dropout = period, window, feedback_frames, dropout
        self.style_names, self.level_names, self.emotion_names = list(style_names), list(level_names), list(emotion_names)
        self.default_style = default_style or self.style_names[0]
        self.fusion, self.fusion_layers, self.second_layer = fusion, fusion_layers, second_layer
        self.fusion_size = fusion_size or max(feature_size // 16, 1)
        self.spiral_length, self.spiral_dilation, self.temporal_window = spiral_length, spiral_dilation, temporal_window
        self.attention_smoothing = attention_smoothing
        self.head, self.name = head, name
        super().__init__(**kwargs)


def _one_of(name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
