"""Texts for the synthetic voices: many closed lips (p b m), lips on teeth (f v), round vowels (w o u), and the rest."""

from __future__ import annotations

import csv
from pathlib import Path

SENTENCES = (
    "Bob and Pam bought a big bumpy pumpkin from my mom.",
    "Five brave wolves moved over the foamy river.",
    "Would you move the blue vase before Wednesday evening?",
    "My puppy jumped from the bumper of the pickup.",
    "Few people believe every rumor about famous musicians.",
    "We two know who threw the whole bowl of soup.",
    "Please put the paper cup back beside the copper pot.",
    "Viv found four fat oval leaves above the woven mat.",
    "The maple beam broke, and a plume of smoke rose up.",
    "Oh no, the old stove blew a fuse at half past four.",
    "Mabel hums a simple rhyme while she combs her poodle.",
    "Why would a wise woman waste water in the winter?",
    "Pick up a bag of apples, plums, and fresh bread.",
    "The vivid film improved my view of rural Bavaria.",
    "Phoebe often laughs when her father coughs.",
    "You should choose your own shoes, you know.",
    "A huge moth flew above the warm lamp.",
    "Move over, Paul, or you will bump into Barbara.",
    "Nobody put enough pepper in the beef broth.",
    "Whoever wove this wool robe was very thoughtful.",
    "Zoe usually measures the azure mosaic with pleasure.",
    "The judge chewed gum during the joyous church chorus.",
    "That thin thief thought about both of the other paths.",
    "Six sleek swans swam swiftly southwards.",
    "Her bird purred, which is absurd for a bird.",
    "Young boys enjoy noisy toys and boiled oysters.",
    "How loud was the crowd around the brown house?",
    "I might try to buy nine kites by Friday night.",
    "Take eight paper plates and wait by the gate.",
    "See these three green trees beneath the eastern peak.",
    "Pat had a bad map of Japan and a black backpack.",
    "Ten men sent seven letters when the weather got better.",
    "Big Bill quickly filled fifty tin dishes with milk.",
    "Look, the good cook put his foot on the hook.",
    "Hot cocoa and popcorn, said Tom, and not another drop.",
    "Upon my word, I have never been more comfortable.",
    "Maybe Bobby may be bringing home a bomb proof umbrella.",
    "Pamela wrapped up the purple ribbon to keep it pretty.",
    "Victor moved in with five of my favorite cousins.",
    "Imagine, a hippo made of marble and amber!",
)


def unspoken_ljspeech(data: Path) -> list[str]:
    """Transcripts of 40 to 110 letters whose recording is not in the data: read English in other words."""
    path = data / "ljspeech_transcripts.csv"
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        rows = [(row[0], row[-1]) for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE)]
    spoken = {audio.stem for audio in (data / "ljspeech_audio").glob("*.ogg")}
    return [text for name, text in rows if name not in spoken and 40 <= len(text) <= 110]
