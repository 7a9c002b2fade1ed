"""Speech in, moving head out: the one object behind the app, the command line and the library."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor

from .animation import Animation
from .audio import Audio, load_audio, longest_seconds
from .clock import frame_count
from .curve import EmotionCurve, check_shares
from .device import encoder_precision, limit_threads, pick_device
from .encoders import SpeechEncoder
from .errors import Cancelled, EmoFaceError, ModelError
from .head import Head, fit_blendshapes, load_head
from .head_motion import check_amount, head_angles
from .lead import Lead, approaching
from .modeling import EmoFaceModel, Frames, stretch
from .motion import Motion, Recognised, combined, to_numpy
from .prosody import on_mesh_clock, prosody
from .skin import skin_bound

Sound = Union[str, Path, tuple, Audio]
Progress = Callable[[str, float], None]
OUTPUTS = ("fused", "content", "emotion")


@dataclass(frozen=True)
class BranchInputs:
    """The inputs of both branches for one face of T frames, and the emotion recognised on the way."""

    content_features: Tensor
    """(1, T, C) F_c"""
    emotion_features: Tensor
    """(1, T, C) F_e, with prosody where the model takes it."""
    level: Tensor
    """(1, 2) weights of the levels."""
    recognised: Recognised
    silence: Tensor | None = None
    """(1, k, C) F_c of the frames before the first sound, if there are any."""

    def of_silence(self) -> BranchInputs:
        """Those of a row of its own for the silence, in which the emotion is there already."""
        assert self.silence is not None
        emotion = self.emotion_features[:, :1].expand(-1, self.silence.shape[1], -1)
        return replace(
            self,
            content_features=approaching(self.silence, self.content_features),
            emotion_features=approaching(emotion, self.emotion_features),
            silence=None,
        )


class EmoFacePipeline:
    """Animate a 3D head from speech.

    >>> pipe = EmoFacePipeline.from_pretrained()                     # embedded model; or a folder; or a Hub id
    >>> animation = pipe("speech.wav", emotion="happy", level="strong", head=3)

    The model and its encoders move to ``device``; on a GPU the encoders are halved to float16 (``emoface.device``).
    """

    def __init__(
        self,
        model: EmoFaceModel,
        content_encoder: SpeechEncoder,
        emotion_encoder: SpeechEncoder | None = None,
        *,
        device: str | torch.device = "cpu",
        max_seconds: float | None = None,
    ):
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)
        precision = encoder_precision(self.device)
        self.content_encoder = content_encoder.freeze().to(self.device, precision)
        self.emotion_encoder = None if emotion_encoder is None else emotion_encoder.freeze().to(self.device, precision)
        self.max_seconds = longest_seconds(max_seconds)
        if model.config.head == "embedded" and model.config.vertex_count != load_head(0).skin_count:
            raise ModelError(
                f"This model moves {model.config.vertex_count} vertices but the embedded head has {load_head(0).skin_count}: "
                "choose a model made for this head, or one that brings its own."
            )

    # ---- loading ----------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, revision: str | None = None, device: str = "auto", max_seconds: float | None = None
    ) -> EmoFacePipeline:
        """Load a model: None for the embedded one (no download) or what ``EMOFACE_MODEL`` names, a folder, or a Hugging Face Hub id.

        ``device``: ``auto`` (the GPU when there is one), ``cpu`` or ``cuda``. Lowers torch's number of threads to the cores that this
        process may use.

        Raises:
            ModelError: nothing usable there; the sentence says what to do.
        """
        from .loading import load_components

        limit_threads()
        model, content_encoder, emotion_encoder = load_components(name, revision=revision)
        return cls(model, content_encoder, emotion_encoder, device=pick_device(device), max_seconds=max_seconds)

    @property
    def name(self) -> str:
        return self.model.config.name

    @property
    def styles(self) -> list[str]:
        """Speaking styles (training speakers) that ``style`` may name."""
        return list(self.model.config.style_names)

    @property
    def emotions(self) -> list[str]:
        """Emotions that ``emotion`` may name: those that the model's training data held."""
        return self.model.named_emotions()

    # ---- the job ----------------------------------------------------------------------------------------------------

    def __call__(
        self,
        speech: Sound,
        *,
        emotion: Sound = "speech",
        mix: float = 1.0,
        level: str = "normal",
        style: str | None = None,
        head: int = 0,
        output: str = "fused",
        idle: bool = False,
        head_motion: float = 0.0,
        initial_offset: np.ndarray | None = None,
        intensity: float = 1.0,
        reference: Sound | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Animation:
        """Animate a recording.

        Args:
            speech: path, ``(samples, rate)`` or :class:`emoface.audio.Audio`.
            emotion: the emotion source: ``"speech"`` (the speech itself), another recording (path, samples, Audio: cross-reconstruction), the
                name of an emotion, or a list of keys ``[(seconds, {"happy": 0.7}), ...]`` that direct it over time (:mod:`emoface.curve`).
            mix: 0 the speech's own emotion ... 1 the chosen one.
            level: ``"normal"`` or ``"strong"``.
            style: a training speaker's name; None for the default.
            head: 0 ... 23, whose face it is.
            output: ``"fused"``, or ``"content"`` / ``"emotion"`` for one branch alone.
            idle: add blinks and small gaze shifts (never part of a measurement).
            head_motion: how much the head turns and nods, 0 none ... 1 as an ordinary speaker's, up to 1.5
                (``Animation.head_angles``; no vertex moves).
            intensity: 0 the same words without expression, 1 the expression of the level, up to 1.5.
            initial_offset: (S, 3) metres, the frame before the first, for clips that do not start at rest.
            reference: a neutral recording of the person who is the emotion source (the speaker, or the speaker of the recording given
                as ``emotion``). The emotion is then measured against that voice's own rest. A few seconds of any words will do.
            progress: called with a stage's name and the fraction done.
            cancel: called often; the work stops when it returns true.

        Raises:
            EmoFaceError: something about the input; AudioError for recordings, Cancelled when ``cancel`` returned true.
        """
        return self.batch(
            [(speech, emotion)],
            mix=mix,
            level=level,
            style=style,
            head=head,
            output=output,
            idle=idle,
            head_motion=head_motion,
            initial_offset=initial_offset,
            intensity=intensity,
            reference=reference,
            progress=progress,
            cancel=cancel,
        )[0]

    def cross_reconstruct(self, a: Sound, b: Sound, **options) -> list[list[Animation]]:
        """The 2 x 2 grid of two recordings: ``grid[i][j]`` speaks content ``i`` with emotion ``j`` (0 = a, 1 = b).

        The diagonal is self-reconstruction. Options as for calling the pipeline; a ``reference`` stands for the voice of both.
        """
        a, b = (self.load(sound) for sound in (a, b))
        rows = self.batch([(a, "speech"), (a, b), (b, a), (b, "speech")], **options)
        return [rows[:2], rows[2:]]

    def branches(self, speech: Sound, *, emotion: Sound = "speech", **options) -> dict[str, Animation]:
        """``{"fused": ..., "content": ..., "emotion": ...}``: the face, and what each branch alone would do, from one pass.

        Options as for calling the pipeline, without ``output``.
        """
        return self._animate([(speech, emotion)], outputs=OUTPUTS, **options)[0]

    def batch(self, jobs: Sequence[tuple[Sound, Sound]], *, output: str = "fused", **options) -> list[Animation]:
        """Animate several ``(speech, emotion)`` jobs, in their order. Options as for calling the pipeline.

        A recording that several jobs name, by the same path or as the same object, is read and encoded once, and all rows share one
        decoding loop.
        """
        return [shown[output] for shown in self._animate(jobs, outputs=(output,), **options)]

    def _animate(
        self,
        jobs: Sequence[tuple[Sound, Sound]],
        *,
        mix: float = 1.0,
        level: str = "normal",
        style: str | None = None,
        head: int = 0,
        outputs: Sequence[str],
        idle: bool = False,
        head_motion: float = 0.0,
        initial_offset: np.ndarray | None = None,
        intensity: float = 1.0,
        reference: Sound | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> list[dict[str, Animation]]:
        """Every job in every output."""
        for output in outputs:
            self.check_options(mix=mix, level=level, style=style, output=output, intensity=intensity)
        style = self.model.config.default_style if style is None else style
        shown = self.head_at(head)
        check_amount(head_motion)
        report = progress or (lambda stage, fraction: None)

        report("Reading the recording", 0.0)
        loaded: dict[str | int, Audio] = {}
        speeches = [self._load_once(speech, loaded) for speech, _ in jobs]
        names = self.emotions
        emotions = [self._emotion(e, names, loaded) for _, e in jobs]
        neutral = self.load_reference(reference)
        _stop_if(cancel)
        report("Listening", 0.05)
        # A clip that does not start at rest starts where it starts.
        leads = {id(sound): self.lead(sound) if initial_offset is None else Lead() for sound in speeches}
        features: dict[int, tuple[Tensor, Tensor]] = {}
        for sound in [*speeches, *(e for e in emotions if isinstance(e, Audio))]:
            if id(sound) not in features:
                features[id(sound)] = self._features(*self.encode(sound, leads.get(id(sound))))
                _stop_if(cancel)

        silences = {id(sound): self._silence(sound, leads[id(sound)]) for sound in speeches}
        rest = None if neutral is None else self.rest_of(neutral)

        report("Feeling", 0.3)

        def inputs(speech: Audio, emotion: Audio | str, mix: float = mix, rest: Tensor | None = rest) -> BranchInputs:
            row = self._inputs(speech, emotion, features, leads[id(speech)], mix=mix, level=level, rest=rest)
            return replace(row, silence=silences[id(speech)])

        # The recognised emotion is the source's; an emotion that is directed over time does not change it.
        rows = [inputs(s, "speech" if isinstance(e, EmotionCurve) else e) for s, e in zip(speeches, emotions)]
        decoded: list[BranchInputs] = []
        for speech, emotion, row in zip(speeches, emotions, rows):
            decoded += [inputs(speech, name) for name in emotion.names] if isinstance(emotion, EmotionCurve) else [row]
            if isinstance(emotion, EmotionCurve) or intensity != 1.0:
                decoded.append(inputs(speech, "neutral", 1.0, None))
        options: dict[str, Any] = dict(mix=mix, level=level, style=style, head=head, idle=idle, intensity=intensity)
        if head_motion and shown is not None:
            options["head_motion"] = head_motion
        settings = [{**self.describe(s.name, _echo(e), output=outputs[0], **options), **_about(s, e)} for s, e in zip(speeches, emotions)]
        if neutral is not None:
            settings = [{**given, "reference": neutral.name} for given in settings]
        moved = self._decode_whole(
            decoded,
            outputs=outputs,
            style=style,
            initial_offset=initial_offset,
            progress=lambda f: report("Moving the face", 0.35 + 0.45 * f),
            cancel=cancel,
        )
        animations: list[dict[str, Animation]] = [{} for _ in rows]
        for number, (output, motions) in enumerate(moved.items()):
            motions = combined(motions, emotions, intensity=intensity, fps=self.model.config.fps)
            for i, (speech, motion, row) in enumerate(zip(speeches, motions, rows)):
                report("Finishing", 0.8 + 0.2 * (number * len(rows) + i) / (len(moved) * len(rows)))
                _stop_if(cancel)
                recognised = replace(row.recognised, track=held_before(row.recognised.track, leads[id(speech)].frames))
                animation = self.assemble(
                    speech,
                    motion,
                    recognised,
                    shown,
                    idle=self._idle(speech, motion, shown) if idle else None,
                    settings={**settings[i], "output": output},
                )
                animations[i][output] = _with_head_motion(animation, speech.samples, head_motion) if head_motion and shown is not None else animation
        report("Done", 1.0)
        return animations

    # ---- stages: those without an underscore are also what a stream is made of (emoface.front_end, .streaming, .live) ---------------

    def _emotion(self, emotion, names: Sequence[str], loaded: dict[str | int, Audio]) -> str | Audio | EmotionCurve:
        """What an argument ``emotion`` stands for: a name, a recording, or a curve of what the model can show."""
        if isinstance(emotion, (list, EmotionCurve)):
            if "neutral" not in names:
                raise EmoFaceError("This model does not know a neutral face, so its feelings cannot be directed over time: give one emotion.")
            return EmotionCurve.of(emotion, ["speech", *names])
        return emotion if is_name(emotion, names) else self._load_once(emotion, loaded)

    def load(self, sound: Sound) -> Audio:
        """A recording as 16 kHz mono, of at most ``max_seconds``. Raises AudioError with what is wrong with it."""
        return sound if isinstance(sound, Audio) else load_audio(sound, max_seconds=self.max_seconds)

    def _load_once(self, sound: Sound, loaded: dict[str | int, Audio]) -> Audio:
        """The same path, or the same object, is the same recording: ``loaded`` keeps those of one call."""
        key = os.fspath(sound) if isinstance(sound, (str, os.PathLike)) else id(sound)
        if key not in loaded:
            loaded[key] = self.load(sound)
        return loaded[key]

    def load_reference(self, sound: Sound | None) -> Audio | None:
        """The neutral recording of a voice, where one is given and the model can use it."""
        if sound is None:
            return None
        if not self.model.config.voice_rest:
            raise EmoFaceError("This model was trained without neutral reference recordings: leave the reference out.")
        return self.load(sound)

    def check_options(self, *, mix: float, level: str, style: str | None, output: str, intensity: float = 1.0) -> str:
        """Refuse options that do not exist; returns the style that is meant."""
        config = self.model.config
        style = style if style is not None else config.default_style
        _choice("speaking style", style, config.style_names)
        _choice("emotion level", level, config.level_names)
        _choice("output", output, OUTPUTS)
        check_shares(mix=mix, intensity=intensity)
        if intensity != 1.0 and "neutral" not in self.emotions:
            raise EmoFaceError("This model does not know a neutral face, so the intensity of its expressions cannot be changed: leave it at 1.")
        return style

    def head_at(self, index: int) -> Head | None:
        """The head of a number; None when the model brings a topology of its own."""
        if self.model.config.head != "embedded":
            if index:
                raise EmoFaceError("This model has one head of its own: leave --head at 0.")
            return None
        return load_head(index)

    def lead(self, audio: Audio) -> Lead:
        """The silence before the first sound of a recording."""
        return Lead.of(audio.samples, fps=self.model.config.fps, rate=audio.sample_rate)

    @torch.inference_mode()
    def encode(self, audio: Audio, lead: Lead | None = None) -> tuple[Tensor, Tensor]:
        """Encoder frames (1, T, L, C) for the content and the emotion branch, without those of the ``lead`` (default: :meth:`lead`)."""
        config = self.model.config
        lead = self.lead(audio) if lead is None else lead
        samples = torch.from_numpy(audio.samples[lead.samples :])
        frames = frame_count(len(audio.samples), config.fps, sample_rate=audio.sample_rate) - lead.frames

        def run(encoder: SpeechEncoder) -> Tensor:
            states = encoder.frame_features(samples, frames, fps=config.fps, layers=config.feature_layers, late=lead.late)
            return states.transpose(0, 1).unsqueeze(0)

        content = run(self.content_encoder)
        return content, content if self.emotion_encoder is None else run(self.emotion_encoder)

    @torch.inference_mode()
    def _features(self, content_hidden: Tensor, emotion_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of the encoders to F_c and the frames that F_e is pooled from, (1, T, C) each."""
        return self.model.content_features(content_hidden), self.model.emotion_frames(emotion_hidden)

    @torch.inference_mode()
    def recognise(self, sound: Sound, *, reference: Sound | None = None) -> np.ndarray:
        """The emotion of a recording, without animating it: (8,) probabilities in the configuration's order.

        Args:
            sound: as for calling the pipeline.
            reference: a neutral recording of the same person.

        Raises:
            AudioError: unusable recordings. EmoFaceError: the model was trained without references.
        """
        neutral = self.load_reference(reference)
        rest = None if neutral is None else self.rest_of(neutral)
        frames = self.model.emotion_frames(self.encode(self.load(sound))[1])
        return self.model.classifier(self.model.emotion_vector(frames, rest=rest))[0, 0].softmax(-1).cpu().numpy()

    @torch.inference_mode()
    def rest_of(self, neutral: Audio) -> Tensor:
        """Statistics of a voice at rest, from a neutral recording (:meth:`EmoFaceModel.voice_rest`)."""
        return self.model.voice_rest(self.model.emotion_frames(self.encode(neutral)[1]))

    @torch.inference_mode()
    def _silence(self, speech: Audio, lead: Lead) -> Tensor | None:
        """F_c (1, t, C) of the frames before the first sound, if there are any."""
        if not lead.frames:
            return None
        beginning = replace(speech, samples=speech.samples[: lead.samples + speech.sample_rate])  # mouths open before the sound
        return self.model.content_features(self.encode(beginning, Lead())[0])[:, : lead.frames]

    @torch.inference_mode()
    def _inputs(
        self,
        speech: Audio,
        emotion: Audio | str,
        features: dict[int, tuple[Tensor, Tensor]],
        lead: Lead,
        *,
        mix: float,
        level: str,
        rest: Tensor | None,
    ) -> BranchInputs:
        """Inputs of the branches for one job.

        Args:
            features: by the recording's id, see :meth:`_features`.
            rest: of the voice that is the emotion source.
        """
        model = self.model
        content, own = features[id(speech)]
        own_rest, source_rest = (rest, None) if isinstance(emotion, str) else (None, rest)
        if isinstance(emotion, str) and emotion == "speech":
            track, vector = model.emotion_track(own, rest=own_rest), model.emotion_vector(own, rest=own_rest)
        else:
            source = None if isinstance(emotion, str) else features[id(emotion)][1]
            track = vector = self.chosen_emotion(emotion, source, level=level, rest=source_rest)
            if model.config.emotion_pooling == "frame" and source is not None:
                track = stretch(source, content.shape[1])
            if mix < 1.0:
                track = torch.lerp(model.emotion_track(own, rest=own_rest), track, mix)
                vector = torch.lerp(model.emotion_vector(own, rest=own_rest), vector, mix)
        track = track.expand(-1, content.shape[1], -1)
        weights = self.level_condition(emotion, level, mix=mix)
        recognised = Recognised(model.classifier(vector)[0, 0].softmax(-1), model.classifier(track)[0].softmax(-1))
        return BranchInputs(content, self._emotion_input(track, speech, lead, level=weights), weights, recognised)

    def level_condition(self, emotion: Sound, level: str, *, mix: float = 1.0) -> Tensor:
        """(1, 2) one-hot level at which an emotion is shown; between two levels where ``mix`` is between the speech's own emotion and neutral."""
        chosen = self.model.level_of(emotion, level) if isinstance(emotion, str) else level
        own_row, chosen_row = (self.model.conditions(style=self.model.config.default_style, level=name)["level"] for name in (level, chosen))
        return torch.lerp(own_row, chosen_row, mix)

    def _emotion_input(self, features: Tensor, speech: Audio, lead: Lead, *, level: Tensor) -> Tensor:
        """F_e (1, T, C) on the speech's clock with the speech's prosody added. ``level`` (1, 2)."""
        features = self.model.committed(features, level)
        if self.model.prosody_in is None:
            return features
        track = on_mesh_clock(prosody(speech.samples[lead.samples :]), features.shape[1], self.model.config.fps, late=lead.late)
        return self.model.with_prosody(features, torch.from_numpy(track)[None].to(features.device))

    def chosen_emotion(self, emotion: Audio | str, frames: Tensor | None, *, level: str, rest: Tensor | None = None) -> Tensor:
        """(1, 1, C) features of a named emotion, or of another recording whose emotion frames are given."""
        if not isinstance(emotion, str):
            return self.model.emotion_vector(frames, rest=rest)
        config = self.model.config
        return self.model.named_emotion(config.emotion_names.index(emotion), config.level_names.index(self.model.level_of(emotion, level)))

    def describe(
        self,
        speech: str,
        emotion,
        *,
        mix: float,
        level: str,
        style: str,
        head: int,
        output: str,
        idle: bool,
        intensity: float = 1.0,
        head_motion: float = 0.0,
    ) -> dict:
        """What ``Animation.settings`` echoes."""
        return dict(
            model=self.name,
            speech=speech,
            emotion=emotion,
            mix=float(mix),
            level=level,
            style=style,
            head=int(head),
            output=output,
            idle=bool(idle),
            intensity=float(intensity),
            head_motion=float(head_motion),
        )

    def _decode_whole(self, rows: list[BranchInputs], **options) -> dict[str, list[Motion]]:
        """:meth:`_decode` of every row, and before it of its silence, where there is some."""
        late = {number: row.silence.shape[1] for number, row in enumerate(rows) if row.silence is not None}
        decoded = self._decode([*rows, *(rows[number].of_silence() for number in late)], **options)
        for motions in decoded.values():
            for (number, frames), before in zip(late.items(), motions[len(rows) :]):
                motions[number] = motions[number].after(before, frames)
            del motions[len(rows) :]
        return decoded

    def _decode(self, rows: list[BranchInputs], *, outputs: Sequence[str], style: str, initial_offset, progress, cancel) -> dict[str, list[Motion]]:
        """For every output the motion of every row, of the row's own length."""
        config, count = self.model.config, len(rows)
        lengths = [row.content_features.shape[1] for row in rows]

        def together(features: list[Tensor]) -> Tensor:
            return torch.cat([torch.nn.functional.pad(x, (0, 0, 0, max(lengths) - x.shape[1])) for x in features])

        motions = {output: [Motion.empty(length, config.vertex_count) for length in lengths] for output in outputs}
        for others in zip(*motions.values()):  # weight and effect are the same in every output
            for motion in others[1:]:
                motion.weight, motion.effect = others[0].weight, others[0].effect
        start = None if initial_offset is None else self._initial(initial_offset)
        styles = self.model.conditions(style=style, level=config.level_names[0], rows=count)["style"]
        frames = self.model.generate(
            together([row.content_features for row in rows]),
            together([row.emotion_features for row in rows]),
            style=styles,
            level=torch.cat([row.level for row in rows]),
            initial_offset=start,
            chunk=max(64 // count, 16),
            cancel=cancel,
        )
        for part in frames:
            end = part.start + part.fused_offsets.shape[1]
            weight, effect = to_numpy(part.weight), to_numpy(self.effect_mm(part))
            for output, of_rows in motions.items():
                offsets = to_numpy(part.offsets(output))
                for i, motion in enumerate(of_rows):
                    count = max(min(end, lengths[i]) - part.start, 0)
                    piece = slice(part.start, part.start + count)
                    motion.offsets[piece], motion.weight[piece], motion.effect[piece] = offsets[i, :count], weight[i, :count], effect[i, :count]
            progress(min(end / max(lengths), 1.0))
        return motions

    def effect_mm(self, part: Frames) -> Tensor:
        """How far the emotion branch moves each vertex, (R, t, S) mm."""
        if self.model.mesh_attention is None:
            return torch.linalg.vector_norm(part.emotion_offsets, dim=-1) * 1e3
        return torch.linalg.vector_norm(part.emotion_offsets - part.content_offsets, dim=-1) * 1e3 * part.weight

    def _initial(self, offset: np.ndarray) -> Tensor:
        offset = np.asarray(offset, np.float32)
        if offset.shape != (self.model.config.vertex_count, 3):
            raise EmoFaceError(f"initial_offset has shape {offset.shape}; this model needs {(self.model.config.vertex_count, 3)}.")
        return torch.from_numpy(offset).to(self.device)

    def _idle(self, speech: Audio, motion: Motion, head: Head | None) -> np.ndarray | None:
        """Blinks and gaze (T, 52) of a whole recording; None for heads that have no lids to shut."""
        if head is None:
            return None
        from .idle import idle_weights

        return idle_weights(len(motion.offsets), self.model.config.fps, seed=len(speech.samples))

    def assemble(
        self, speech: Audio, motion: Motion, recognised: Recognised, head: Head | None, *, idle: np.ndarray | None = None, settings: dict
    ) -> Animation:
        """Decoded frames as a head that moves.

        Args:
            speech: the sound of these frames.
            motion: may be changed in place.
            recognised: of the emotion source.
            head: of :meth:`head_at`.
            idle: (T, 52) ARKit weights of blinks and gaze that are added (:mod:`emoface.idle`).
            settings: echoed in ``Animation.settings``.
        """
        frames, config = len(motion.offsets), self.model.config
        common: dict[str, Any] = dict(
            fps=float(config.fps),
            emotion_importance=motion.weight,
            emotion_effect_mm=motion.effect,
            emotion_probabilities=recognised.probabilities.cpu().numpy(),
            emotion_track=recognised.track.cpu().numpy(),
            emotion_names=tuple(config.emotion_names),
            audio=speech.samples,
            sample_rate=speech.sample_rate,
            settings=settings,
        )
        if head is None:
            template, faces = self.model.template.cpu().numpy(), self.model.faces.cpu().numpy()
            vertices = np.add(template, motion.offsets, out=motion.offsets)
            return Animation(
                vertices=vertices,
                template=template,
                faces=faces,
                skin_count=len(template),
                regions=np.full(len(template), "skin"),
                blendshapes=np.zeros((frames, 0), np.float32),
                blendshape_names=(),
                **common,
            )
        offsets = motion.offsets
        weights = fit_blendshapes(offsets, head=load_head(0))
        offsets = skin_bound()(offsets, weights)
        if idle is not None:
            from .idle import add_idle

            offsets, weights = add_idle(offsets, weights, idle)
        vertices = np.empty((frames, *head.template.shape), np.float32)
        for start in range(0, frames, 256):  # long answers need no second copy of themselves
            part = slice(start, start + 256)
            vertices[part] = head.assemble(offsets[part], weights[part])
        return Animation(
            vertices=vertices,
            template=head.template,
            faces=head.faces,
            skin_count=head.skin_count,
            regions=head.regions,
            blendshapes=weights,
            blendshape_names=head.blendshape_names,
            colors=head.colors,
            **common,
        )


def held_before(track: Tensor, frames: int) -> Tensor:
    """(T, C) with its first row held for so many frames before it."""
    return torch.cat([track[:1].expand(frames, -1), track])


def _with_head_motion(animation: Animation, samples: np.ndarray, amount: float) -> Animation:
    """The same face on a head that turns and nods with the speech."""
    track = on_mesh_clock(prosody(samples), animation.frame_count, animation.fps)
    return replace(animation, head_angles=head_angles(track, animation.fps, seed=len(samples), amount=amount))


def _echo(emotion: str | Audio | EmotionCurve):
    """What ``Animation.settings`` says of the emotion; a curve can be given again as it stands there."""
    if isinstance(emotion, EmotionCurve):
        return emotion.keys()
    return emotion if isinstance(emotion, str) else emotion.name


def is_name(emotion, names: Sequence[str]) -> bool:
    """Whether ``emotion`` names an emotion (or the speech itself) rather than a recording.

    Raises:
        EmoFaceError: it looks like neither.
    """
    if not isinstance(emotion, str):
        return False
    if emotion == "speech" or emotion in names:
        return True
    if not Path(emotion).exists() and not Path(emotion).suffix:
        raise EmoFaceError(f"There is no emotion or recording called {emotion!r}: use {', '.join(['speech', *names])}, or a sound file.")
    return False


def _about(speech: Audio, emotion: Audio | str | EmotionCurve) -> dict:
    """What ``Animation.settings`` says of the recordings: seconds that were damaged, and sentences for their owner."""
    sounds = [speech, emotion] if isinstance(emotion, Audio) and emotion is not speech else [speech]
    return dict(damaged_seconds=round(speech.damaged_seconds, 3), notes=[note for sound in sounds for note in sound.notes])


def _choice(what: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise EmoFaceError(f"There is no {what} called {value!r}: choose one of {', '.join(allowed)}.")


def _stop_if(cancel: Callable[[], bool] | None) -> None:
    if cancel is not None and cancel():
        raise Cancelled("Stopped, as you asked.")
