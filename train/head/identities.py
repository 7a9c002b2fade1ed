"""The people: plausible random heads from MakeHuman's macro and detail targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .makehuman import RACES, macro, target

# (target pair, standard deviation): both directions of one detail.
_DETAILS = [
    ("head/head-scale-horiz-%s", "incr decr", 0.25),
    ("head/head-scale-vert-%s", "incr decr", 0.2),
    ("head/head-scale-depth-%s", "incr decr", 0.25),
    ("head/head-fat-%s", "incr decr", 0.3),
    ("head/head-back-scale-depth-%s", "incr decr", 0.3),
    ("forehead/forehead-scale-vert-%s", "incr decr", 0.35),
    ("forehead/forehead-temple-%s", "incr decr", 0.4),
    ("chin/chin-width-%s", "incr decr", 0.45),
    ("chin/chin-height-%s", "incr decr", 0.4),
    ("chin/chin-prominent-%s", "incr decr", 0.35),
    ("chin/chin-bones-%s", "incr decr", 0.4),
    ("chin/chin-cleft-%s", "incr decr", 0.3),
    ("chin/chin-jaw-drop-%s", "incr decr", 0.25),
    ("nose/nose-scale-horiz-%s", "incr decr", 0.35),
    ("nose/nose-scale-vert-%s", "incr decr", 0.35),
    ("nose/nose-scale-depth-%s", "incr decr", 0.4),
    ("nose/nose-hump-%s", "incr decr", 0.45),
    ("nose/nose-width1-%s", "incr decr", 0.3),
    ("nose/nose-width2-%s", "incr decr", 0.3),
    ("nose/nose-width3-%s", "incr decr", 0.35),
    ("nose/nose-volume-%s", "incr decr", 0.3),
    ("nose/nose-point-width-%s", "incr decr", 0.3),
    ("nose/nose-greek-%s", "incr decr", 0.3),
    ("nose/nose-flaring-%s", "incr decr", 0.3),
    ("mouth/mouth-scale-horiz-%s", "incr decr", 0.4),
    ("mouth/mouth-upperlip-volume-%s", "incr decr", 0.4),
    ("mouth/mouth-lowerlip-volume-%s", "incr decr", 0.4),
    ("mouth/mouth-upperlip-height-%s", "incr decr", 0.3),
    ("mouth/mouth-lowerlip-height-%s", "incr decr", 0.3),
    ("mouth/mouth-cupidsbow-%s", "incr decr", 0.35),
    ("mouth/mouth-philtrum-volume-%s", "incr decr", 0.3),
    ("nose/nose-point-%s", "up down", 0.4),
    ("nose/nose-base-%s", "up down", 0.3),
    ("nose/nose-curve-%s", "concave convex", 0.4),
    ("nose/nose-trans-%s", "up down", 0.2),
    ("mouth/mouth-trans-%s", "up down", 0.25),
    ("mouth/mouth-angles-%s", "up down", 0.25),
    # small: a larger brow angle makes the neutral face look angry
    ("eyebrows/eyebrows-angle-%s", "up down", 0.12),
    ("eyebrows/eyebrows-trans-%s", "up down", 0.25),
    ("eyebrows/eyebrows-trans-%s", "forward backward", 0.3),
]
_PAIRED_DETAILS = [  # the same amount left and right
    ("cheek/{}-cheek-volume-%s", "incr decr", 0.45),
    ("cheek/{}-cheek-bones-%s", "incr decr", 0.5),
    ("cheek/{}-cheek-inner-%s", "incr decr", 0.4),
    ("cheek/{}-cheek-trans-%s", "up down", 0.3),
    ("eyes/{}-eye-scale-%s", "incr decr", 0.25),
    ("eyes/{}-eye-height2-%s", "incr decr", 0.3),
    ("eyes/{}-eye-corner1-%s", "up down", 0.35),
    ("eyes/{}-eye-corner2-%s", "up down", 0.35),
    ("eyes/{}-eye-trans-%s", "in out", 0.25),
    ("eyes/{}-eye-bag-%s", "incr decr", 0.3),
    ("eyes/{}-eye-eyefold-%s", "up down", 0.3),
    ("ears/{}-ear-scale-%s", "incr decr", 0.35),
    ("ears/{}-ear-wing-%s", "incr decr", 0.35),
]
_SHAPES = "oval round rectangular square triangular invertedtriangular diamond".split()
_ASYMMETRIES = "brown cheek eye jaw mouth nose".split()
CORNERS_UP = 0.45
"""Of MakeHuman's target for raised corners of the mouth, on everybody: without it a resting face reads as a scowl."""
_AMOUNT = 0.6  # at 1 some heads become caricatures


@dataclass(frozen=True)
class Person:
    """Macro settings of an identity: gender 0 = female .. 1 = male, years, weights of the races, name of the look."""

    gender: float
    years: float
    race: dict
    look: str
    weight: float = 0.5
    muscle: float = 0.5

    @property
    def name(self) -> str:
        """What people read in a list of heads."""
        if self.look == "average":
            return "average"
        return f"{'man' if self.gender > 0.5 else 'woman'}, {self.years}"


AVERAGE = Person(gender=0.5, years=27, race=dict.fromkeys(RACES, 1 / 3), look="average")


def random_person(index: int, rng: np.random.Generator) -> Person:
    """Men and women in turn; three looks and, every fourth, a random mixture."""
    mixture = rng.dirichlet([0.35] * 3)
    main = RACES[index // 2 % 3]
    race = dict(zip(RACES, mixture)) if index % 4 == 3 else {name: 0.82 if name == main else 0.09 for name in RACES}
    return Person(
        gender=float(np.clip((0.95 if index % 2 == 0 else 0.03) + rng.normal() * 0.05, 0, 1)),
        years=int(rng.integers(20, 56 if index % 2 == 0 else 50)),
        race=race,
        look="mixed" if index % 4 == 3 else main,
        weight=float(rng.uniform(0.3, 0.75)),
        muscle=float(rng.uniform(0.35, 0.7)),
    )


def person_offsets(person: Person, rng: np.random.Generator | None = None) -> np.ndarray:
    """Offsets (N, 3) in decimetres from base.obj; details are left out without ``rng``."""
    offsets = macro(gender=person.gender, years=person.years, race=person.race, weight=person.weight, muscle=person.muscle)
    offsets = offsets + CORNERS_UP * target("mouth/mouth-angles-up")
    if rng is None:
        return offsets

    def add(names: list[str], directions: str, deviation: float) -> None:
        nonlocal offsets
        amount = np.clip(rng.normal() * deviation * _AMOUNT, -0.8, 0.8)
        direction = directions.split()[int(amount < 0)]
        for name in names:
            offsets = offsets + abs(amount) * target(name % direction)

    for name, directions, deviation in _DETAILS:
        add([name], directions, deviation)
    for name, directions, deviation in _PAIRED_DETAILS:
        add([name.format(side) for side in "lr"], directions, deviation)
    offsets = offsets + rng.uniform(0.1, 0.6) * _AMOUNT * target(f"head/head-{rng.choice(_SHAPES)}")
    for name in _ASYMMETRIES:
        side = "lr"[rng.integers(2)]
        offsets = offsets + abs(rng.normal()) * 0.15 * _AMOUNT * target(f"asym/asym-{name}-1-{side}")
    if person.years > 38:
        offsets = offsets + min((person.years - 38) / 16, 0.8) * target("head/head-age-incr")
    return offsets
