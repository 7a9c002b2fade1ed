"""Controls that several tabs share, and the check of a recording before any waiting."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from ..errors import EmoFaceError, TooLong
from .context import SPEECH_EXAMPLES, Context, Example
from .engine import MAX_SECONDS
from .sessions import return_memory, visitor

LEVEL_CHOICES = [("Normally", "normal"), ("Strongly", "strong")]


def level_choice(value: str = "normal", **options) -> gr.Radio:
    """How strongly the actors played what the model learned from."""
    return gr.Radio(
        LEVEL_CHOICES, value=value, label="Acted", info="As the actors did whom the model learned from.", elem_classes="ef-pills", **options
    )


def step(number: int, title: str) -> gr.HTML:
    """A numbered heading of a card; for fixed texts only."""
    return gr.HTML(f'<h2 class="ef-step"><b>{number}</b>{title}</h2>')


def heading(title: str, aside: str) -> gr.HTML:
    """The heading of a card with a few words beside it; for fixed texts only."""
    return gr.HTML(f'<h2 class="ef-step">{title} <span>{aside}</span></h2>')


def recording(context: Context, label: str, *, limit: float = MAX_SECONDS, elem_id: str | None = None) -> gr.Audio:
    """A recorder / upload field, with a line below it: whether the recording can be used."""
    audio = gr.Audio(
        label=label,
        show_label=False,
        type="filepath",
        sources=["upload", "microphone"],
        elem_id=elem_id,
        elem_classes="ef-audio",
        waveform_options=gr.WaveformOptions(show_recording_waveform=True),
        buttons=[],
    )
    note = Note(check(None, limit=limit))

    def arrived(path, request: gr.Request):
        try:
            context.sessions.use(visitor(request), path)
        except EmoFaceError as error:
            return str(error)
        return check(path, limit=limit)

    # Decoding takes memory: two at once, however many visitors send something.
    audio.change(arrived, audio, note, concurrency_limit=2, concurrency_id="check", show_progress="hidden", api_visibility="private")
    return audio


def action(label: str, *, elem_id: str, stop_id: str | None = None, status_id: str) -> tuple[gr.Button, gr.Button, Note]:
    """The button that starts a tab's work, the one that stops it, and the line for the outcome; progress is shown on the stage."""
    with gr.Row(elem_classes="ef-action"):
        go = gr.Button(label, variant="primary", elem_classes="ef-go", elem_id=elem_id, scale=4)
        stop = gr.Button("Stop", elem_classes="ef-cancel", elem_id=stop_id, scale=1, min_width=84)
    status = Note(elem_id=status_id, elem_classes="ef-status")
    go.click(None, None, status, js="() => ''", queue=False, show_progress="hidden", api_visibility="private")  # what the last run said is over
    return go, stop, status


class Note(gr.HTML):
    """One line of plain text, set as text and never as HTML (it may hold a file name)."""

    def __init__(self, value: str = "", *, html_template: str | None = None, js_on_load: str | None = None, **kwargs):
        super().__init__(
            value,
            html_template='<p class="ef-hint" role="status" aria-live="polite"></p>',
            js_on_load="const line = element.querySelector('p'); const show = () => { line.textContent = props.value || ''; };"
            " watch('value', show); show();",
            apply_default_css=False,
            **kwargs,
        )


def check(path: str | None, *, limit: float) -> str:
    """What can be said about a recording at once."""
    if path is None:
        return f"Up to {limit:.0f} seconds of sound or video: wav, mp3, flac, ogg, m4a, webm, mp4, mov, mkv and more."
    from ..audio import load_audio

    try:
        audio = load_audio(path, max_seconds=limit)
    except TooLong as error:
        return f"{error} The scissors under the waveform cut a part out."
    except EmoFaceError as error:
        return str(error)
    finally:
        return_memory()  # what many channels took
    return f"{audio.seconds:.1f} seconds. {' '.join(audio.notes) or 'Ready.'}"


def emotion_choice(context: Context, preferred: str, *, shown: bool = False, **options) -> gr.Radio:
    """The named emotions of the model."""
    return gr.Radio(
        [(name.capitalize(), name) for name in context.emotions],
        value=emotion_default(context, preferred),
        label="Emotion",
        elem_classes="ef-pills",
        visible=shown,
        **options,
    )


def emotion_default(context: Context, preferred: str) -> str | None:
    """``preferred`` if the model has it, else its first emotion; None where it has none."""
    return preferred if preferred in context.emotions else next(iter(context.emotions), None)


def example_buttons(examples: Sequence[Example] = SPEECH_EXAMPLES) -> list[gr.Button]:
    """One button for each example, in a row."""
    with gr.Row(elem_classes="ef-examples"):
        return [gr.Button(example.label, size="sm", variant="secondary") for example in examples]


def need(path: str | None, what: str = "Record or upload speech, or click one of the examples, then press the button again.") -> str:
    """``path``. Raises EmoFaceError with the sentence ``what`` where it is missing."""
    if not path:
        raise EmoFaceError(what)
    return path
