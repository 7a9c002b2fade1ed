"""From the name of a model to a folder on this machine: embedded, local, or downloaded from the Hugging Face Hub.

The real ``huggingface_hub`` client does the work, with its cache, its tokens and its offline mode (``HF_HOME``,
``HF_TOKEN``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``). Only safetensors, JSON and npz files are ever downloaded: pickled
weights can run code when they are opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ModelError
from .resources import ASSETS

EMBEDDED_MODEL = ASSETS / "model"
ALLOWED_FILES = ("*.safetensors", "*.json", "*.npz")
ENCODER_FILES = ("config.json", "model.safetensors", "model-?????-of-?????.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def resolve_model(name: str | os.PathLike | None = None, *, revision: str | None = None) -> Path:
    """The folder of a model.

    Args:
        name: None for the environment's ``EMOFACE_MODEL``, or the embedded model where that is not set;
            ``"embedded"``; a folder; or a Hub id (``org/name``), which is downloaded once and then taken from the cache.
        revision: branch, tag or commit of a Hub model.

    Raises:
        ModelError: nothing usable there; one sentence says what to do.
    """
    if name is None:
        name = os.environ.get("EMOFACE_MODEL") or "embedded"
    if str(name) == "embedded":
        return EMBEDDED_MODEL
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_files(folder, str(name), [path.name for path in folder.iterdir()])
        return folder
    if not _is_hub_id(str(name)):
        raise ModelError(f"There is no model folder {str(name)!r}: check the path, or give a Hugging Face id as org/name.")
    return _download(str(name), revision)


def _is_hub_id(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def encoder_folder(name: str | os.PathLike) -> Path:
    """The folder of a speech encoder: one on this machine, or a Hub id, of which only configuration and safetensors are downloaded.

    Raises:
        ModelError: as :func:`resolve_model`.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if not _is_hub_id(str(name)):
        raise ModelError(
            f"The speech encoder {str(name)!r} cannot be loaded: give a folder with config.json and model.safetensors, or the id of a Whisper "
            "or wav2vec 2.0 model on the Hugging Face Hub (and check the connection)."
        )
    return _download(str(name), None, files=ENCODER_FILES)


def _download(name: str, revision: str | None, files: tuple[str, ...] = ALLOWED_FILES) -> Path:
    """The model's snapshot in the Hub's cache, fetched if it is not there yet or has changed."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{name!r}" + (f" at revision {revision!r}" if revision else "")
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except GatedRepoError as error:
        raise ModelError(f"The model {where} asks for its terms to be accepted: do so on its page, then log in.") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"There is no model {where} on the Hugging Face Hub: check the id, or log in if it is private.") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"The model {name!r} has no revision {revision!r}: give a branch, tag or commit of it.") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"The model {where} has not been downloaded yet and the Hugging Face Hub cannot be reached: connect once, or use the embedded model."
        ) from error
    except Exception as error:  # what the client's HTTP library raises differs between its versions
        raise ModelError(
            f"The model {where} could not be downloaded ({type(error).__name__}): check the connection and the disk, then try again."
        ) from error
    if files is ALLOWED_FILES:
        _check_files(folder, name, None)
    return folder


def _check_files(folder: Path, name: str, files: list[str] | None) -> None:
    """Say plainly what is missing, and why pickles do not count. ``files`` of a Hub model are asked for if needed."""
    missing = [file for file in ("config.json", "model.safetensors") if not (folder / file).is_file()]
    if not missing:
        return
    if files is None:
        files = _remote_files(name)
    pickles = sorted(file for file in files if file.endswith(_PICKLES))
    if "model.safetensors" in missing and pickles:
        raise ModelError(f"The model {name!r} has only pickled weights ({pickles[0]}), which could run any code: ask its author for safetensors.")
    raise ModelError(f"The model {name!r} has no {missing[0]}, so it is not an EmoFace model: give another folder or id.")


def _remote_files(name: str) -> list[str]:
    """Names of a Hub model's files, only to word a message: nothing if the Hub cannot be asked now."""
    from huggingface_hub import HfApi

    try:
        return HfApi().list_repo_files(name)
    except Exception:  # as above; the message is then the general one
        return []
