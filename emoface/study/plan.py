"""What each rater sees, in which order and on which side.

Methods are counterbalanced with Williams' Latin squares (E. J. Williams, "Experimental designs balanced for the
estimation of residual effects of treatments", 1949): every method stands at every position equally often and follows
every other method equally often. A plan depends only on the design, its seed and the rater's number.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from random import Random

from .design import Design

KINDS = ("training", "rating", "attention", "gold")


@dataclass(frozen=True)
class Stimulus:
    """One clip: an item animated by a method, possibly with a request at its end or a known degradation."""

    kind: str
    item: str
    method: str
    answer: int | None = None
    """The requested category of an attention clip."""
    degrade: str = "none"
    amount: float = 0.0
    aspect: str | None = None
    """The aspect in which the quality of a gold clip is known to lie in ``[at_least, at_most]``."""
    at_least: int | None = None
    at_most: int | None = None


@dataclass(frozen=True)
class Page:
    """Clips shown together, from left to right."""

    kind: str
    stimuli: tuple[Stimulus, ...]


def williams_square(count: int) -> list[list[int]]:
    """Orders of ``count`` treatments: ``count`` rows for an even number, twice as many for an odd one."""
    first = [0]
    for step in range(1, count):
        first.append((step + 1) // 2 if step % 2 else count - step // 2)
    rows = [[(value + shift) % count for value in first] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def plan_rater(design: Design, number: int) -> list[Page]:
    """All pages of rater ``number`` (0, 1, 2, ...): training first, then rating with the checks spread over it."""
    random = Random(f"{design.seed}/{number}")
    pages = {"single": _single_pages, "pair": _pair_pages, "all": _all_pages}[design.layout](design, number, random)
    return _training_pages(design, random) + _spread(_check_pages(design), pages, random)


def all_stimuli(design: Design) -> list[Stimulus]:
    """Every clip that any rater can see, each once."""
    pages = itertools.chain.from_iterable(plan_rater(design, number) for number in range(design.rater_count))
    return sorted({stimulus for page in pages for stimulus in page.stimuli}, key=repr)


def _visits(design: Design, number: int) -> list[tuple[int, int]]:
    """(item index, how many raters saw it before) of the items dealt to this rater in turn."""
    start = number * design.items_per_rater
    return [(place % len(design.items), place // len(design.items)) for place in range(start, start + design.items_per_rater)]


def _single_pages(design: Design, number: int, random: Random) -> list[Page]:
    """As many rounds as methods; a round shows every item once, each method (nearly) equally often."""
    rows, names = williams_square(len(design.methods)), design.method_names
    rounds = [[(item, names[rows[(visit + item) % len(rows)][turn]]) for item, visit in _visits(design, number)] for turn in range(len(names))]
    return [Page("rating", (_rating(design, item, method),)) for item, method in _shuffled(rounds, random)]


def _pair_pages(design: Design, number: int, random: Random) -> list[Page]:
    """Every item with every pair of methods, one pair per round."""
    pairs = [pair for pair in itertools.combinations(design.method_names, 2) if design.reference in (None, *pair)]
    rounds = [[(item, visit, pairs[(turn + visit + item) % len(pairs)]) for item, visit in _visits(design, number)] for turn in range(len(pairs))]
    return [
        Page("rating", tuple(_rating(design, item, method) for method in _sides(design, item, visit, pair)))
        for item, visit, pair in _shuffled(rounds, random)
    ]


def _sides(design: Design, item: int, visit: int, pair: tuple[str, str]) -> tuple[str, ...]:
    """Left and right: drawn for every second rater of an item and pair, exchanged for the next one."""
    drawn = Random(f"{design.seed}/side/{item}/{pair}/{visit // 2}").random() < 0.5
    return pair if drawn == (visit % 2 == 0) else pair[::-1]


def _all_pages(design: Design, number: int, random: Random) -> list[Page]:
    rows, names = williams_square(len(design.methods)), design.method_names
    visits = _visits(design, number)
    random.shuffle(visits)
    return [Page("rating", tuple(_rating(design, item, names[place]) for place in rows[(visit + item) % len(rows)])) for item, visit in visits]


def _shuffled(rounds: list[list[tuple]], random: Random) -> list[tuple]:
    """Rounds in random order inside, never with the same item twice in a row."""
    order: list[tuple] = []
    for entries in rounds:
        random.shuffle(entries)
        if order and len(entries) > 1 and entries[0][0] == order[-1][0]:
            swap = random.randrange(1, len(entries))
            entries[0], entries[swap] = entries[swap], entries[0]
        order += entries
    return order


def _training_pages(design: Design, random: Random) -> list[Page]:
    pages = []
    for training in design.training:
        stimuli = [Stimulus("training", training.item, method) for method in training.methods]
        random.shuffle(stimuli)
        groups = [(stimulus,) for stimulus in stimuli] if design.layout == "single" else [tuple(stimuli)]
        pages += [Page("training", group) for group in groups]
    return pages


def _check_pages(design: Design) -> list[Page]:
    attention = [Stimulus("attention", check.item, check.method, answer=check.answer) for check in design.attention]
    gold = [
        Stimulus(
            "gold",
            check.item,
            check.method,
            degrade=check.degrade,
            amount=check.amount,
            aspect=check.aspect,
            at_least=check.at_least,
            at_most=check.at_most,
        )
        for check in design.gold
    ]
    return [Page(stimulus.kind, (stimulus,)) for stimulus in attention + gold]


def _spread(checks: list[Page], pages: list[Page], random: Random) -> list[Page]:
    """Checks in random order, one in each equal stretch of the session, never on its first page."""
    random.shuffle(checks)
    merged = list(pages)
    for index in reversed(range(len(checks))):
        start, end = (len(pages) * part // len(checks) for part in (index, index + 1))
        merged.insert(random.randint(max(1, start), max(1, end)), checks[index])
    return merged


def _rating(design: Design, item: int, method: str) -> Stimulus:
    return Stimulus("rating", design.items[item].id, method)
