"""Publish a model, or the app as a Space, on the Hugging Face Hub.

    python -m train.tools.push_to_hub ORG/emoface-mini                      # the embedded model, with its encoder and a card
    python -m train.tools.push_to_hub ORG/mine --model DIR --license mit    # one of your own; --results FILE adds its numbers
    python -m train.tools.push_to_hub ORG/emoface --space                   # the app
    ... --dry-run                                                     # only print what would be uploaded

Needs a token with write access (``hf auth login`` or HF_TOKEN). One commit per run; files that are gone here are
deleted there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from emoface.errors import EmoFaceError, ModelError
from emoface.flame import VERTEX_COUNT
from emoface.hub import ALLOWED_FILES, EMBEDDED_MODEL, resolve_model

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED_ENCODER = ROOT / "assets" / "encoder"
LICENSE = "cc-by-nc-sa-4.0"
_NOTICES = ("LICENSE*", "NOTICE*", "CREDITS*")
# What a Space needs to run the app; everything else stays in the source repository.
_SPACE_FILES = ("app.py", "emoface", "assets", "requirements.txt", "packages.txt", "README.md", "LICENSE", "NOTICE", "docs")
THUMBNAIL = "docs/images/hero.jpg"

FLAME_WARNING = f"""Warning: this model's template has FLAME's {VERTEX_COUNT:,} vertices. FLAME and VOCASET may not be passed on (https://flame.is.tue.mpg.de,
https://voca.is.tue.mpg.de): publish it only if their licences allow it to you, or keep the repository private."""

_CARD_HEADER = """---
license: {license}
language:
- en
library_name: emoface
tags:
- talking-head
- speech-driven-animation
- 3d
- facial-animation
- emotion
- blendshapes
- arxiv:2408.11518
---
"""

_CARD = """
# {name}

Speech in, a moving 3D head out, with the voice's emotion on its face, or the emotion of another recording, or one of
eight named ones. An independent implementation of *EmoFace: Emotion-Content Disentangled Speech-Driven 3D Talking Face
Animation* (arXiv 2408.11518): two speech branches, cached FaceFormer-type decoders, Mesh Attention with SpiralConv3D.

```python
from emoface import EmoFacePipeline

pipe = EmoFacePipeline.from_pretrained("{repo}")
animation = pipe("speech.wav", emotion="happy", level="strong")
animation.save("face.mp4")
```

| | |
|---|---|
| parameters | {parameters:,} |
| speech encoder | {encoder} |
| predicts | {vertices:,} skin vertices at {fps} frames per second |
| emotions | {emotions} |
| levels | {levels} |
| speaking styles | {styles} |
"""

# True of the embedded model alone; whoever trained another one says so with --license and in the card.
_EMBEDDED_CARD = """
## Data

| data | used for | licence |
|---|---|---|
| GRID, speaker s1 (Cooke et al. 2006) | **real** lip motion, measured in video | CC BY 4.0 |
| RAVDESS, audio and measured action units (Livingstone & Russo 2018) | emotional speech; its motion is **modelled**: coarticulation over aligned phones, expression from measured action units | CC BY-NC-SA 4.0 |
| LJSpeech | read speech; motion **modelled** | public domain |
| flite voices, synthesised for training | further voices; motion **modelled** | free, with notice |

The paper's own corpus, 3D-RAVDESS, is not public: numbers here are not comparable with the paper's.

## Licence

These weights derive from RAVDESS and are CC BY-NC-SA 4.0: not for commercial use. The speech encoder is OpenAI's
Whisper tiny.en (MIT), the code Apache-2.0, the head CC0.
"""

_LIMITS = """
## Limits

English read and acted speech by few speakers; emotion is what actors play, not what a person feels. Do not use it to
judge people's feelings, or to put words into the mouth of a real person without their consent.
"""


def model_files(folder: Path, repo: str, *, results: Path | None = None, license: str | None = None) -> dict[str, Path | bytes]:
    """Path in the repository -> file or content of a model that works on its own.

    The embedded model's card also tells its data, licence and measured numbers; any other needs a ``license``, and has numbers if
    ``results`` of ``train.evaluate`` are given.

    Raises:
        ModelError: the folder is not a complete model. EmoFaceError: no licence for a model that is not the embedded one.
    """
    embedded = folder.resolve() == EMBEDDED_MODEL.resolve()
    if embedded:
        results = results or ROOT / "docs" / "results.json"
    elif license is None:
        raise EmoFaceError("Say under which licence this model goes to the Hub: --license cc-by-4.0, for example.")
    config_file = folder / "config.json"
    if not config_file.is_file() or not (folder / "model.safetensors").is_file():
        raise ModelError(f"There is no trained model in {folder}: train one first, or name another with --model.")
    config = json.loads(config_file.read_text())
    files: dict[str, Path | bytes] = {}
    for pattern in (*ALLOWED_FILES, *_NOTICES):
        files.update({path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob(pattern))})
    # The embedded model shares the repository's encoder; on the Hub it brings its own.
    for branch in ("content_encoder", "emotion_encoder"):
        if "embedded" in (config.get(branch) or {}) and not (folder / branch).is_dir():
            files.update({f"{branch}/{path.name}": path for path in sorted(EMBEDDED_ENCODER.iterdir())})
    if config.get("vertex_count") == VERTEX_COUNT and config.get("head") is None:
        print(FLAME_WARNING, file=sys.stderr)
    files["README.md"] = model_card(config, repo, files, embedded=embedded, results=results, license=license or LICENSE).encode()
    return files


def model_card(config: dict, repo: str, files: dict[str, Path | bytes], *, embedded: bool, results: Path | None, license: str) -> str:
    """The model card: what it is, how to call it, limits; data and licence of the embedded model; numbers where there are any."""
    encoder = files.get("content_encoder/model.safetensors")
    card = _CARD.format(
        name=config.get("name", repo.split("/")[1]),
        repo=repo,
        parameters=_parameters(files["model.safetensors"]),
        encoder=f"{_parameters(encoder):,} parameters, included" if encoder else config["content_encoder"]["name"],
        vertices=config["vertex_count"],
        fps=config["fps"],
        emotions=", ".join(_named_emotions(files["model.safetensors"], config["emotion_names"])) or "only that of the speech, none by name",
        levels=", ".join(config["level_names"]),
        styles=len(config["style_names"]),
    )
    if embedded:
        card += _EMBEDDED_CARD
    card += _LIMITS
    if results is not None:
        card += results_section(json.loads(results.read_text()))
    return _CARD_HEADER.format(license=license) + card


def _named_emotions(weights: Path, names: list[str]) -> list[str]:
    """Those that the training data held: the others' features are zero, and cannot be asked for by name."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as file:
        known = file.get_tensor("emotion_prototypes").any(axis=(1, 2))
    return [name for name, there in zip(names, known.tolist(), strict=True) if there]


def _parameters(weights: Path) -> int:
    """Trainable numbers in a safetensors file: all floating-point tensors but the model's buffers."""
    from safetensors import safe_open

    count = 0
    with safe_open(weights, framework="numpy") as file:
        for key in file.keys():
            tensor = file.get_slice(key)
            if tensor.get_dtype().startswith(("F", "BF")) and key not in ("template", "emotion_prototypes"):
                size = 1
                for length in tensor.get_shape():
                    size *= length
                count += size
    return count


def results_section(results: dict) -> str:
    """The table of what was asked for and reached, from ``train.evaluate``'s JSON."""
    lines = ["", "## Measured", "", f"By `{results['command']}` on {results['date']}, on clips never trained on.", ""]
    lines += ["| measure | data | value | 95 % interval | clips |", "|---|---|---|---|---|"]
    for row in results["rows"]:
        if row["row"] != "model" or row["value"] is None:
            continue
        interval = "-" if row["low"] is None else f"{row['low']:.3g} to {row['high']:.3g}"
        unit = f" {row['unit']}" if row["unit"] else ""
        lines.append(f"| {row['measure']} | {row['data']} ({row['motion']}) | {row['value']:.3g}{unit} | {interval} | {row['clips']} |")
    return "\n".join(lines) + "\n"


def space_files(repo: str, root: Path = ROOT) -> dict[str, Path | bytes]:
    """Path in the Space -> file: the committed files that the app needs, and a README with the Space's settings.

    The settings' ``thumbnail``, the picture of links to the Space, is an address of the Space's own, so it is written here.

    Raises:
        EmoFaceError: there is no app to publish, or the working tree is not a git checkout.
    """
    listing = subprocess.run(["git", "ls-files", "-z", *_SPACE_FILES], cwd=root, capture_output=True, text=True)
    if listing.returncode != 0:
        raise EmoFaceError(f"{root} is not a git checkout, so its files are unknown: publish from a clone.")
    files: dict[str, Path | bytes] = {name: root / name for name in listing.stdout.split("\0") if name}
    for needed in ("app.py", "requirements.txt", "README.md"):
        if needed not in files:
            raise EmoFaceError(f"There is no committed {needed} in {root}: commit it first, then publish.")
    files["README.md"] = (root / "README.md").read_bytes()
    if not files["README.md"].startswith(b"---\n"):
        raise EmoFaceError("README.md does not begin with a Space's settings between two lines ---: the Hub would not know how to start it.")
    if THUMBNAIL in files:
        address = f"https://huggingface.co/spaces/{repo}/resolve/main/{THUMBNAIL}"
        files["README.md"] = files["README.md"].replace(b"---\n", f"---\nthumbnail: {address}\n".encode(), 1)
    return files


def push(repo: str, files: dict[str, Path | bytes], *, kind: str, private: bool, message: str) -> str:
    """Upload in one commit; returns its address.

    Raises:
        EmoFaceError: not logged in, no write access, or no connection.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        # None leaves the visibility of a repository that exists as it is.
        options = {"space_sdk": "gradio"} if kind == "space" else {}
        api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True, **options)
        gone = set(api.list_repo_files(repo, repo_type=kind)) - set(files) - {".gitattributes"}
        operations = [CommitOperationDelete(path_in_repo=path) for path in sorted(gone)]
        operations += [CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()]
        commit = api.create_commit(repo, operations, commit_message=message, repo_type=kind)
    except LocalTokenNotFoundError as error:
        raise EmoFaceError("You are not logged in: run `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise EmoFaceError(f"The Hub refuses to write to {repo!r}: log in with `hf auth login`, using a token that may write there.") from error
        raise EmoFaceError(f"The upload to {repo!r} failed ({error.response.status_code}): try again later.") from error
    return commit.commit_url


def describe(files: dict[str, Path | bytes]) -> str:
    """Every file with its size, and the total."""
    sizes = {path: len(f) if isinstance(f, bytes) else f.stat().st_size for path, f in sorted(files.items())}
    lines = [f"{size / 1e6:10.3f} MB  {path}" for path, size in sizes.items()]
    return "\n".join([*lines, f"{sum(sizes.values()) / 1e6:10.3f} MB  in {len(sizes)} files"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo", metavar="ORG/NAME")
    parser.add_argument("--space", action="store_true", help="publish the app instead of a model")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="model folder (default: the embedded one)")
    parser.add_argument(
        "--results", type=Path, help="JSON of train.evaluate for the card (default: docs/results.json for the embedded model, else no numbers)"
    )
    parser.add_argument("--license", help="of a model that is not the embedded one, as the Hub names it: cc-by-4.0, other, ...")
    parser.add_argument("--private", action="store_true", help="if it is created now")
    parser.add_argument("--message", default="Update from the source repository")
    parser.add_argument("--dry-run", action="store_true", help="print the files and the card, upload nothing")
    arguments = parser.parse_args(argv)
    try:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments.repo):
            raise EmoFaceError(f"{arguments.repo!r} is not a Hub id: give it as ORG/NAME.")
        if arguments.space:
            files = space_files(arguments.repo)
        else:
            files = model_files(resolve_model(arguments.model), arguments.repo, results=arguments.results, license=arguments.license)
        if arguments.dry_run:
            print(files["README.md"].decode())
            print(describe(files))
            return 0
        kind = "space" if arguments.space else "model"
        print(push(arguments.repo, files, kind=kind, private=arguments.private, message=arguments.message))
    except EmoFaceError as error:
        print(f"push_to_hub: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
