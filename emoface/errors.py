"""Errors that people read: one plain sentence that says what is wrong and what to do next."""


class EmoFaceError(ValueError):
    """A problem the user can fix. ``str(error)`` is one sentence fit for a page or a terminal."""


class AudioError(EmoFaceError):
    """The audio cannot be used as it is (empty, silent, too long, not audio, ...)."""


class TooLong(AudioError):
    """The recording is longer than the limit."""


class ModelError(EmoFaceError):
    """A model cannot be found, read or used with this head."""


class Cancelled(EmoFaceError):
    """The caller asked to stop; nothing was written."""
