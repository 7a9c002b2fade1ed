"""Colours, type and spacing of the page. Fonts are those that Gradio brings along: nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils.colors import Color

CSS = (Path(__file__).parent / "style.css").read_text("utf-8")

_coral = Color(
    name="coral",
    c50="#fff4f1",
    c100="#ffe5de",
    c200="#ffc9bb",
    c300="#ffa58f",
    c400="#f97f65",
    c500="#e8604a",
    c600="#c2432f",
    c700="#a33524",
    c800="#842c20",
    c900="#6c271d",
    c950="#3d110b",
)
_ink = Color(
    name="ink",
    c50="#faf9f7",
    c100="#f3f1ee",
    c200="#e6e2dd",
    c300="#d2ccc5",
    c400="#a39c95",
    c500="#736d68",
    c600="#57524e",
    c700="#3d3a39",
    c800="#262529",
    c900="#1a1a1f",
    c950="#121217",
)


def theme() -> gr.themes.Base:
    """Colours, fonts and radii of the page, light and dark."""
    return gr.themes.Base(
        primary_hue=_coral,
        secondary_hue=_coral,
        neutral_hue=_ink,
        radius_size=gr.themes.sizes.radius_lg,
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono"), "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="#ece9e6",
        body_text_color_subdued="#66605b",
        body_text_color_subdued_dark="#aba5a0",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="#2f2e33",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#37363c",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*body_text_color_subdued",
        block_label_text_color_dark="*body_text_color_subdued",
        block_title_text_weight="600",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_info_text_color="*body_text_color_subdued",
        block_info_text_color_dark="*body_text_color_subdued",
        block_shadow="none",
        block_shadow_dark="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        color_accent="*primary_600",
        color_accent_soft="*primary_100",
        color_accent_soft_dark="#4a2019",
        input_border_width="1px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
    )
