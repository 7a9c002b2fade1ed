"""Tab *Animate*: speech, an emotion source, a head; out comes a talking face."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import soundfile

from ..animation import LEVELS, Animation
from ..curve import MOST_INTENSE, EmotionCurve
from ..errors import EmoFaceError
from ..head import HEAD_COUNT
from . import plots, scenes, words
from .chart import Chart, ChartView
from .context import EXAMPLES, SPEECH_EXAMPLES, Context
from .director import Director, direction
from .downloads import FORMATS, Downloads
from .engine import CROSS_SECONDS, MAX_SECONDS, Stages, plain_errors, short_enough
from .heads import NAMES, HeadPicker
from .history import History, back_to, label_of, listed
from .inputs import Note, action, emotion_choice, emotion_default, example_buttons, heading, level_choice, need, recording, step
from .player import FacePlayer
from .sessions import Result, visitor
from .several import MOST_FILES, animate_all

SOURCES = [("From this speech", "speech"), ("From another recording", "other"), ("A named emotion", "named")]
PLAYER = "animate"
CONTROLS = ("speech", "source", "other", "emotion", "mix", "intensity", "level", "style", "head", "idle", "nods", "reference")
"""The settings that made a face, by the names of the controls; the player gets them as ``made``."""
LINKED = ("source", "emotion", "mix", "intensity", "level", "style", "head", "idle", "nods")
"""Settings that a link holds, beside ``curve``, the feeling drawn over time."""
MOST_LINKED = 200
"""Keys of a curve in a link; addresses have an end."""
# Runs in the browser: the address of this page with the settings of the face that is shown, into the clipboard.
_SHARE = """() => {
  const made = emoface.players.animate?.made, button = document.querySelector('#share');
  if (!made) { button.textContent = 'Animate first'; return; }
  const settings = new URLSearchParams(LINKED.map(name => [name, name === 'source' && made.source === 'other' ? 'speech' : made[name] ?? '']));
  const keys = emoface.players.animate.scene?.keys ?? made.curve, drawn = keys && keys.some(([, weights]) => Object.keys(weights).join() !== 'speech');
  if (drawn && keys.length <= MOST_LINKED) settings.set('curve', JSON.stringify(keys));
  const link = location.origin + location.pathname + '?' + settings;
  const done = text => { button.textContent = text; };
  navigator.clipboard ? navigator.clipboard.writeText(link).then(() => done('Link copied'), () => prompt('Link', link)) : prompt('Link', link);
}""".replace("MOST_LINKED", str(MOST_LINKED)).replace("LINKED", json.dumps(LINKED))
# Runs in the browser whenever a control changes or a face arrives: was the face made with the present settings?
_COMPARE = """(...values) => {
  const player = emoface.players.animate, made = player?.made;
  if (!made) return;
  const now = Object.fromEntries(CONTROLS.map((name, at) => [name, values[at]?.path ?? values[at] ?? null]));
  const unused = now.source === 'speech' ? ['other', 'emotion', 'mix'] : now.source === 'other' ? ['emotion'] : ['other'];
  if (now.speech === null) unused.push('speech');   // an empty field asks for nothing
  player.outdated(CONTROLS.some(name => !unused.includes(name) && String(now[name]) !== String(made[name] ?? null)));
}""".replace("CONTROLS", json.dumps(CONTROLS))

# Runs in the browser when a recording comes: the first face shows a named emotion, but a voice is brought to see what is in it. What the visitor or the link has
# chosen stays.
_OWN_FEELING = """(...values) => {
  const made = emoface.players.animate?.made, names = ['source', 'emotion', 'mix', 'intensity', 'level', 'head'];
  const first = made && made.entry === undefined && !new URLSearchParams(location.search).has('source');
  return first && names.every((name, at) => String(values[at]) === String(made[name])) ? 'speech' : values[0];
}"""


def build(context: Context) -> None:
    """The tab's components and what they do; called inside its ``gr.Tab``."""
    opening = load_opening("animate") if context.opening else {}
    made = (opening.get("player") or {}).get("made") or {}
    if made:
        made["style"] = context.styles[0]  # it was made with the default
        made.setdefault("nods", False)  # an opening from before heads moved
    with gr.Row(equal_height=False, elem_classes="ef-layout"):
        with gr.Column(scale=7, min_width=320, elem_classes="ef-result"):
            player = FacePlayer(
                opening.get("player"), player_id=PLAYER, elem_id="player", empty="Record or upload speech, then press Animate. The face appears here."
            )
            go, stop, status = action("Animate", elem_id="animate", stop_id="stop", status_id="status")
            history = History(player=PLAYER, elem_id="history")
            felt = Note(opening.get("felt", ""), elem_id="felt")
            correction = gr.Radio(
                _named(context),
                label="Not right? Choose the feeling",
                elem_classes="ef-pills ef-bare",
                elem_id="correction",
                visible=bool(opening) and made.get("source") == "speech" and len(context.emotions) > 1,
            )
            with gr.Column(elem_classes="ef-card", visible="neutral" in context.emotions and len(context.emotions) > 1):
                heading("Direct the feeling", "draw what the face feels, and when; or compare feelings side by side")
                direct = gr.Button("Direct this face", elem_id="direct", size="sm", elem_classes="ef-small")
                director = Director(elem_id="director", visible=False)
                directing, linked = gr.State(), gr.State()
            with gr.Row(equal_height=False, elem_classes="ef-two ef-charts"):
                with gr.Column(scale=2, min_width=240):
                    bars = ChartView(opening.get("bars"), elem_id="emotion-bars")
                with gr.Column(scale=3, min_width=300):
                    timeline = ChartView(opening.get("timeline"), elem_id="emotion-timeline")
            with gr.Column(elem_classes="ef-card"):
                downloads = Downloads("the animation that is shown", elem_id="download", share="Copy link")
                echo = Note(opening.get("echo", ""), elem_id="echo")
        with gr.Column(scale=5, min_width=320, elem_classes="ef-side"):
            with gr.Column(elem_classes="ef-card ef-speech"):
                step(1, "Speech")
                speech = recording(context, "Speech to animate", elem_id="speech")
                gr.HTML('<p class="ef-hint">Or one click animates a voice of ours, with its own feeling:</p>')
                examples = example_buttons()
            with gr.Column(elem_classes="ef-card"):
                step(2, "Emotion")
                source = gr.Radio(
                    SOURCES, value=made.get("source", "speech"), label="Where the emotion comes from", elem_classes="ef-pills", elem_id="source"
                )
                with gr.Column(visible=False) as other_box:
                    other = recording(context, "Recording whose emotion to take", elem_id="other")
                named = emotion_choice(context, made.get("emotion") or "happy", elem_id="named", shown=made.get("source") == "named")
                mix = gr.Slider(
                    0,
                    1,
                    value=made.get("mix", 1),
                    step=0.05,
                    label="Mix",
                    info="0: the voice's own emotion · 1: the chosen one",
                    visible=made.get("source", "speech") != "speech",
                    elem_id="mix",
                )
                intensity = gr.Slider(
                    0,
                    MOST_INTENSE,
                    value=made.get("intensity", 1),
                    step=0.05,
                    label="Strength",
                    info="0: no expression · 1: as heard · 1.5: more",
                    elem_id="intensity",
                    visible="neutral" in context.emotions,
                )
                with gr.Accordion("How this voice sounds at rest", open=False, visible=context.voice_rest):
                    gr.HTML(
                        '<p class="ef-hint">Some voices sound sad or angry when they are not. One neutral sentence of the same person, any words, sets that right.</p>'
                    )
                    reference = recording(context, "A neutral sentence of this voice", elem_id="reference")
            with gr.Column(elem_classes="ef-card"):
                step(3, "Face")
                head = HeadPicker(made.get("head", 0), elem_id="heads", visible=context.heads)
                idle = gr.Checkbox(
                    made.get("idle", True), label="Blinks and gaze", info="For life; they are not taken from the voice.", visible=context.heads
                )
                nods = gr.Checkbox(
                    made.get("nods", True), label="Head movement", info="Made up from how it is said.", elem_id="nods", visible=context.heads
                )
                with gr.Accordion("More", open=False):
                    level = level_choice(made.get("level", "normal"), elem_id="level")
                    style = gr.Radio(
                        list(context.styles),
                        value=context.styles[0],
                        label="Speaking style",
                        elem_classes="ef-pills",
                        visible=len(context.styles) > 1,
                    )
            with gr.Column(elem_classes="ef-card"), gr.Accordion("Several recordings at once", open=False):
                gr.HTML(
                    f'<p class="ef-hint">Up to {MOST_FILES} recordings, one after another, with the emotion and the face chosen above. You get one zip with all of them.</p>'
                )
                files = gr.File(label="Recordings", file_count="multiple", type="filepath", elem_id="several", height=150)
                kind = gr.Radio(list(FORMATS), value=next(iter(FORMATS)), label="What the zip holds", elem_classes="ef-pills")
                every = gr.Button("Animate all", size="sm", elem_id="animate-all")
                reached = Note(elem_id="several-status", elem_classes="ef-lines")
                packed = gr.File(label="All results", visible=False, elem_id="several-zip", interactive=False)

    brought = dict(fn=None, inputs=[source, named, mix, intensity, level, head], outputs=source, js=_OWN_FEELING)
    gr.on([speech.upload, speech.stop_recording], **brought, queue=False, show_progress="hidden", api_visibility="private")
    source.change(_shown_for, source, [other_box, named, mix], queue=False, show_progress="hidden", api_visibility="private")
    controls = [speech, source, other, named, mix, intensity, level, style, head, idle, nods, reference]
    result = [player, felt, bars, timeline, echo, correction, director, directing, linked]
    job = dict(
        fn=_animate(context),
        inputs=controls,
        outputs=[*result, history, status],
        show_progress_on=player,
        concurrency_limit=1,
        concurrency_id="model",
        api_visibility="private",
    )
    runs = [go.click(**job)]
    runs.append(
        history.chosen(
            back_to(context),
            history,
            [*result, history],
            show_progress_on=player,
            concurrency_limit=2,
            concurrency_id="history",
            api_visibility="private",
        )
    )
    for button, example in zip(examples, SPEECH_EXAMPLES):
        # A click on *Angry* asks for the anger of that voice, whatever emotion the page's first face was made with.
        chosen = button.click(
            lambda path=example.path: (path, "speech"), None, [speech, source], queue=False, show_progress="hidden", api_visibility="private"
        )
        runs.append(chosen.then(**job))
    corrected = correction.input(
        lambda name: ("named", gr.update(value=name, visible=True), 1),
        correction,
        [source, named, mix],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    runs.append(corrected.then(**job))
    runs.append(
        direct.click(
            _direct(context),
            [*controls, linked],
            [player, director, directing, felt, status, linked],
            show_progress_on=player,
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
        )
    )
    runs.append(
        director.kept(
            _keep_directed(context),
            [director, directing],
            [*result, history, status],
            show_progress_on=player,
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
        )
    )
    outdated = dict(fn=None, inputs=controls, outputs=None, js=_COMPARE, queue=False, show_progress="hidden", api_visibility="private")
    gr.on([control.change for control in controls], **outdated)
    player.face_ready(**outdated)
    runs += downloads.connect(context, first=_finish(context), inputs=[director, directing])
    together = animate_all(context, job=PLAYER, suffixes=FORMATS, options=_options, keep=_keeper(context))
    runs.append(
        every.click(
            together,
            [files, kind, *controls[1:]],
            [reached, history, packed],
            show_progress_on=reached,
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
        )
    )
    stop.click(stopper(context, PLAYER, "download"), None, status, queue=False, cancels=runs, show_progress="hidden", api_visibility="private")
    downloads.share.click(None, None, None, js=_SHARE, api_visibility="private")
    settings = [source, named, mix, intensity, level, style, head, idle, nods]
    gr.context.Context.root_block.load(
        _restore(context), None, [*settings, other_box, linked, status], queue=False, show_progress="hidden", api_visibility="private"
    )


def _named(context: Context) -> list[tuple[str, str]]:
    return [(name.capitalize(), name) for name in context.emotions]


def _shown_for(source: str) -> tuple[dict, dict, dict]:
    return gr.update(visible=source == "other"), gr.update(visible=source == "named"), gr.update(visible=source != "speech")


def emotion_argument(source: str, other: str | None, named: str | None) -> str:
    """The pipeline's ``emotion`` for what the visitor chose."""
    if source == "other":
        return need(other, "Record or upload the recording whose emotion the face should take, or choose another source.")
    return named or "neutral" if source == "named" else "speech"


def _animate(context: Context) -> Callable:
    def animate_tab(
        speech, source, other, named, mix, intensity, level, style, head, idle, nods, reference, request: gr.Request, progress=gr.Progress()
    ):
        made = dict(zip(CONTROLS, (speech, source, other, named, mix, intensity, level, style, head, idle, nods, reference)))
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, speech, other, reference))
            stages("Checking the recording", 0.0)
            # The page opens with a face of its own: until there is a recording, the controls direct that one.
            speech = need(speech or (SPEECH_EXAMPLES[0].path if context.opening else None))
            short_enough(speech, limit=MAX_SECONDS)
            animation = context.engine.run(
                "__call__", speech, stages=stages, **_options(source, other, named, mix, intensity, level, style, head, idle, nods, reference)
            )
            stages("Packing for the browser", 0.9)
            result = remember(context, request, animation, made)
            ready = f"Ready after {stages.elapsed:.1f} s: {animation.duration:.1f} s of speech, {animation.frame_count} frames."
            # A feeling that a link brought waits until it is drawn.
            return *result.outputs[:-1], gr.skip(), listed(context, visitor(request), result.name), ready

    return animate_tab


def _options(source, other, named, mix, intensity, level, style, head, idle, nods, reference) -> dict:
    """The pipeline's keywords for all controls but the speech. Raises EmoFaceError where a recording is missing."""
    return dict(
        emotion=emotion_argument(source, other, named),
        mix=mix,
        intensity=intensity,
        level=level,
        style=style,
        head=head,
        idle=idle,
        head_motion=float(nods),
        reference=reference,
    )


def _keeper(context: Context) -> Callable:
    def keep(animation, settings, request: gr.Request):
        result = remember(context, request, animation, dict(zip(CONTROLS, (None, *settings))))
        return listed(context, visitor(request), result.name)

    return keep


def remember(context: Context, request: gr.Request, animation: Animation, made: dict) -> Result:
    """Keeps an animation for downloads and for the visit's history, with what the page shows of it."""
    visit, name = visitor(request), uuid.uuid4().hex
    context.sessions.keep(visit, animation, name)
    packed, sound = context.sessions.result(visit, ".efp"), sound_file(context, request, animation)
    drawn = animation.settings["emotion"] if isinstance(animation.settings.get("emotion"), list) else None
    shown = show(animation, packed, sound=sound, made={**made, "entry": name, "curve": drawn})
    recognised = animation.settings.get("emotion", "speech") not in animation.emotion_names  # what was chosen needs no correction
    outputs = (
        shown,
        *feeling_shown(animation),
        echo_of(animation),
        gr.update(value=None, visible=recognised and len(context.emotions) > 1),
        gr.update(value=None, visible=False),
        None,
        drawn,
    )
    result = Result(name, label_of(animation), outputs, (packed, Path(sound)))
    context.sessions.remember(visit, result)
    return result


def _direct(context: Context) -> Callable:
    """The words of the chosen speech with every emotion, decoded once: from then on the browser blends them."""

    def direct(
        speech, source, other, named, mix, intensity, level, style, head, idle, nods, reference, linked, request: gr.Request, progress=gr.Progress()
    ):
        made = dict(zip(CONTROLS, (speech, source, other, named, mix, intensity, level, style, head, idle, nods, reference)))
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, speech, reference))
            stages("Checking the recording", 0.0)
            speech = need(speech or (SPEECH_EXAMPLES[0].path if context.opening else None))
            short_enough(speech, limit=CROSS_SECONDS)
            names = ["neutral", "speech", *(name for name in context.emotions if name != "neutral")]
            options = dict(level=level, style=style, head=head, idle=idle, head_motion=float(nods), reference=reference)
            runs = dict(zip(names, context.engine.run("batch", [(speech, name) for name in names], stages=stages, **options)))
            stages("Packing for the browser", 0.85)
            keys = linked or [
                [0, {named if source == "named" and named != "neutral" else "speech": intensity if named != "neutral" or source != "named" else 0}]
            ]
            own = runs["speech"]
            context.sessions.keep(visitor(request), own)
            path = scenes.directed(context.sessions.result(visitor(request), ".efp"), runs)
            shown = {"animation": path, "audio": sound_file(context, request, own), "autoplay": "on", "made": made, "names": names, "keys": keys}
            return (
                shown,
                gr.update(value=direction(own, names[2:], player=PLAYER, keys=keys), visible=True),
                {"speech": speech, "options": options, "made": made},
                words.recognised(own),
                f"Ready after {stages.elapsed:.1f} s: draw the feeling below the face.",
                None,
            )

    return direct


def _finish(context: Context) -> Callable:
    """Before a download: the directed face as the pipeline makes it, where there is one."""

    def finish(keys, directing, request: gr.Request, progress=gr.Progress()):
        if not directing or not keys:
            return
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), "download", directing["speech"]))
            context.sessions.keep(visitor(request), _directed(context, keys, directing, stages))

    return finish


def _keep_directed(context: Context) -> Callable:
    """The directed face, as the pipeline makes it, becomes one of the visit's animations; drawing goes on from it with *Direct this face*."""

    def keep(keys, directing, request: gr.Request, progress=gr.Progress()):
        with plain_errors():
            if not directing or not keys:
                raise EmoFaceError("There is no directed face to keep: press Direct this face, and draw.")
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, directing["speech"]))
            animation = _directed(context, keys, directing, stages)
            stages("Packing for the browser", 0.9)
            result = remember(context, request, animation, directing["made"])
            return *result.outputs, listed(context, visitor(request), result.name), "Kept in your animations."

    return keep


def _directed(context: Context, keys: list, directing: dict, stages: Stages) -> Animation:
    return context.engine.run("__call__", directing["speech"], emotion=keys, stages=stages, **directing["options"])


def feeling_shown(animation: Animation) -> tuple[str, Chart | None, Chart | None]:
    """The recognised emotion, in words and charts. A named emotion was not recognised, so there is nothing to draw."""
    if animation.settings.get("emotion", "speech") in list(animation.emotion_names):
        return words.worn(animation), None, None
    return words.recognised(animation), plots.emotion_bars(animation), plots.emotion_timeline(animation, follows=PLAYER)


def sound_file(context: Context, request: gr.Request, animation: Animation) -> str:
    """The animation's own sound as WAV: the browser plays the input of the model, whatever kind of file was uploaded."""
    path = context.sessions.result(visitor(request), ".wav")
    soundfile.write(path, animation.audio, animation.sample_rate, subtype="PCM_16")
    return str(path)


def show(animation: Animation, path, *, sound: str, made: dict | None = None) -> dict:
    """The player's value for one animation, written to ``path``; ``sound`` is the address of its WAV, ``made`` are the settings it was made with."""
    return {"animation": scenes.single(path, animation), "audio": sound, "autoplay": "on", "made": made}


def echo_of(animation: Animation) -> str:
    """The settings that made this animation, in words."""
    settings = animation.settings
    emotion = settings.get("emotion", "speech")
    source = (
        "emotion from this speech"
        if emotion == "speech"
        else "a feeling directed over time"
        if isinstance(emotion, list)
        else f"emotion: {emotion}, mix {100 * settings.get('mix', 1):.0f} %"
    )
    parts = [
        settings.get("speech", "speech"),
        source,
        f"strength {settings.get('intensity', 1.0):g}, {settings.get('level', 'normal')}",
        NAMES[settings.get("head", 0)].lower(),
        "with blinks and gaze" if settings.get("idle") else "no blinks",
        "head movement" if settings.get("head_motion") else "still head",
        f"model {settings.get('model')}",
    ]
    return " ".join(["Made with " + " · ".join(parts) + ".", *settings.get("notes", [])])


def stopper(context: Context, *jobs: str) -> Callable:
    """What a button *Stop* calls: it stops the visitor's work of these names."""

    def stop(request: gr.Request):
        with plain_errors():
            for job in jobs:
                context.sessions.stop(visitor(request), job)
        return "Stopped."

    return stop


def linked_curve(text: str | None, emotions: Sequence[str]) -> list | None:
    """The keys that the address of the page holds, or None where they are none that can be used."""
    try:
        keys = json.loads(text or "")
        return EmotionCurve.of(keys, ["speech", *emotions]).keys() if len(keys) <= MOST_LINKED else None
    except (ValueError, TypeError, RecursionError, EmoFaceError):
        return None


def _restore(context: Context) -> Callable:
    """Settings from the address of the page; what is not among the choices is ignored."""

    def one_of(value, allowed, default):
        return value if value in allowed else default

    def restore(request: gr.Request):
        given = dict(request.query_params)
        if not {*LINKED, "curve"}.intersection(given):  # a plain visit: this answer may come after the visitor's first click
            return (gr.skip(),) * 12
        curve = linked_curve(given.get("curve"), context.emotions)
        source = one_of(given.get("source"), ("speech", "named"), "speech")
        try:
            mix, intensity = min(max(float(given.get("mix", 1)), 0.0), 1.0), min(max(float(given.get("intensity", 1)), 0.0), MOST_INTENSE)
            head = int(given.get("head", 0))
            if not math.isfinite(mix + intensity):
                raise ValueError("not a number")
        except ValueError:
            mix, intensity, head = 1.0, 1.0, 0
        return (
            source,
            gr.update(value=one_of(given.get("emotion"), context.emotions, emotion_default(context, "happy")), visible=source == "named"),
            gr.update(value=mix, visible=source != "speech"),
            intensity,
            one_of(given.get("level"), LEVELS, "normal"),
            one_of(given.get("style"), context.styles, context.styles[0]),
            head if 0 <= head < HEAD_COUNT and context.heads else 0,
            given.get("idle", "true") != "false",
            given.get("nods", "true") != "false",
            gr.update(visible=False),
            curve,
            "This link brings a feeling drawn over time: choose the speech, then press Direct this face." if curve else "",
        )

    return restore


def load_opening(name: str) -> dict:
    """What a tab shows when the page opens, made by ``train/tools/build_examples.py``; empty where that has not run."""
    description = EXAMPLES / f"{name}.json"
    if not description.exists():
        return {}
    saved = json.loads(description.read_text("utf-8"))
    sounds = {label: str(EXAMPLES / file) for label, file in saved["sounds"].items()}
    player = {"animation": str(EXAMPLES / f"{name}.efp"), "audio": sounds, "autoplay": saved["autoplay"], "made": saved.get("made")}
    return {
        "player": player,
        "echo": saved["echo"],
        "felt": saved.get("felt", ""),
        "compared": saved.get("compared", ""),
        **{key: Chart(**chart) for key, chart in saved["charts"].items()},
    }
