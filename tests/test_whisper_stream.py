"""Whisper on a moving window: its blocks are transformers' own, and what is remembered changes nothing but what it says it does."""

import pytest
import torch

from emoface.encoders import SAMPLES_PER_FRAME, SpeechEncoder
from emoface.errors import EmoFaceError
from emoface.front_end import EncoderStream, Windows
from emoface.whisper_stream import LEAD, WhisperStream, block

from .test_encoders import speechlike
from .tiny_model import tiny_encoder


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return tiny_encoder().eval().requires_grad_(False)


def test_a_block_is_whispers_own_for_any_rows_and_from_remembered_keys(encoder):
    layer, x = encoder.model.layers[0], torch.randn(1, 30, encoder.width)
    expected = layer(x, None)
    expected = expected[0] if isinstance(expected, tuple) else expected
    whole, keys, values = block(layer, x, slice(None), None)
    torch.testing.assert_close(whole, expected)
    some, _, _ = block(layer, x[:, 12:], slice(3, 7), (keys[:, :, :12], values[:, :, :12]))
    torch.testing.assert_close(some, expected[:, 15:19])


def test_all_anew_is_the_encoder_itself(encoder):
    samples = speechlike(1.0)
    states = WhisperStream(encoder, past=50, fresh=None, tail=50, layers=0)
    assert states.begin(30, 50) == 0
    heard = states.encode(samples, 0, 0, slice(30, 40))
    torch.testing.assert_close(heard, encoder.hidden_states(samples, reference=states._reference)[:, 30:40])


def test_the_lead_is_all_that_spectrum_and_convolutions_hear_of_the_past(encoder):
    """The embeddings (state 0) of a frame are the same, however much lies before."""
    samples, begin = speechlike(1.0), 20
    early, late = (WhisperStream(encoder, past=50, fresh=None, tail=50, layers=0) for _ in range(2))
    early._reference = late._reference = 3.0
    whole = early.encode(samples, 0, 0, slice(begin, 45))[0]
    cut = late.encode(samples[(begin - LEAD) * SAMPLES_PER_FRAME :], begin, LEAD, slice(begin, 45))[0]
    torch.testing.assert_close(cut, whole)


@pytest.mark.parametrize("fresh", [None, 0.1, 0.4])
def test_what_is_remembered_is_the_window(encoder, fresh, monkeypatch):
    """Every hop is heard with as many frames of the past as were asked for, of which only the fresh ones are computed."""
    seen = []

    def spy(layer, x, rows, past):
        seen.append((x.shape[1], 0 if past is None else past[0].shape[2]))
        return block(layer, x, rows, past)

    monkeypatch.setattr("emoface.whisper_stream.block", spy)
    stream = EncoderStream(encoder, Windows(past=1.0, hop=0.08, ahead=0.04, fresh=fresh, tail=0.5))
    states = torch.cat(list(stream.feed(speechlike(4.0), last=True)), dim=1)
    assert states.shape[1] == 200
    for computed, remembered in seen[:: encoder.depth][14:-2]:  # after a second, while there is a look-ahead
        assert computed + remembered == 50 + 4 + 2 + 25
        assert computed == (81 if fresh is None else round(50 * fresh) + 4 + 2 + 25)


def test_remembering_comes_near_to_computing_anew(encoder):
    samples = speechlike(3.0)
    anew, near, far = (
        torch.cat(list(EncoderStream(encoder, Windows(past=1.0, hop=0.08, ahead=0.04, fresh=fresh, tail=0.5)).feed(samples, last=True)), dim=1)[-1]
        for fresh in (1.0, 0.6, 0.1)
    )
    away = lambda states: float((states - anew).norm() / anew.norm())
    assert away(near) < away(far) < 0.2
    assert away(near) < 0.05


def test_where_the_position_table_ends_the_window_begins_anew(encoder, monkeypatch):
    windows = Windows(past=1.0, hop=0.08, ahead=0.04, fresh=0.4, tail=0.5)
    origins, original = [], WhisperStream.begin

    def begin(self, done, stop):
        first = original(self, done, stop)
        origins.append((self._origin, stop - self._origin + 25))
        return first

    monkeypatch.setattr(WhisperStream, "begin", begin)
    table = len(encoder.model.embed_positions.weight)
    states = torch.cat(list(EncoderStream(encoder, windows).feed(speechlike(table / 50 + 2), last=True)), dim=1)
    assert len({origin for origin, _ in origins}) > 1 and max(row for _, row in origins) <= table
    assert torch.isfinite(states).all()


def test_a_window_that_the_encoder_cannot_hear_is_one_sentence(encoder):
    with pytest.raises(EmoFaceError, match="shorter"):
        EncoderStream(encoder, Windows(past=40.0))
    with pytest.raises(EmoFaceError, match="fresh"):
        Windows(fresh=0.03)
