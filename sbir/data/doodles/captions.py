"""What an instance looks like in words, English and German, and its labels for multi-label relevance."""

import numpy as np

from sbir.data.doodles.categories import CATEGORIES, FAMILIES

GERMAN = {
    "airplane": "Flugzeug", "ant": "Ameise", "balloon": "Heißluftballon", "bee": "Biene", "bicycle": "Fahrrad",
    "bottle": "Flasche", "bus": "Bus", "butterfly": "Schmetterling", "cactus": "Kaktus", "camel": "Kamel",
    "car": "Auto", "castle": "Burg", "cat": "Katze", "chair": "Stuhl", "chicken": "Huhn", "church": "Kirche",
    "crab": "Krabbe", "cup": "Tasse", "dog": "Hund", "donut": "Donut", "duck": "Ente", "elephant": "Elefant",
    "fish": "Fisch", "flower": "Blume", "giraffe": "Giraffe", "hammer": "Hammer", "helicopter": "Hubschrauber",
    "horse": "Pferd", "house": "Haus", "key": "Schlüssel", "lamp": "Lampe", "lighthouse": "Leuchtturm",
    "lollipop": "Lutscher", "magnifying_glass": "Lupe", "mushroom": "Pilz", "octopus": "Krake", "owl": "Eule",
    "palm": "Palme", "penguin": "Pinguin", "pig": "Schwein", "rabbit": "Kaninchen", "rocket": "Rakete",
    "sailboat": "Segelboot", "saw": "Säge", "shark": "Hai", "sheep": "Schaf", "ship": "Schiff",
    "skyscraper": "Hochhaus", "snail": "Schnecke", "spider": "Spinne", "submarine": "U-Boot", "swan": "Schwan",
    "table": "Tisch", "teapot": "Teekanne", "tractor": "Traktor", "train": "Zug", "tree": "Baum", "truck": "Laster",
    "turtle": "Schildkröte", "umbrella": "Regenschirm", "whale": "Wal", "wheel": "Rad", "windmill": "Windmühle",
    "wine_glass": "Weinglas",
}  # fmt: skip
WORDS = {
    "left": ("facing left", "nach links gewandt"),
    "right": ("facing right", "nach rechts gewandt"),
    "large": ("large in the picture", "groß im Bild"),
    "small": ("small in the picture", "klein im Bild"),
    "tilted": ("leaning to one side", "zur Seite geneigt"),
    "upright": ("standing straight", "gerade stehend"),
}
ENGLISH_FORMS = ("a picture of a {}", "a {} can be seen", "this is a {}", "there is a {}")
GERMAN_FORMS = ("ein Bild: {}", "zu sehen ist: {}", "das ist: {}", "hier im Bild: {}")


def caption(name: str, stand: dict[str, float], rng: np.random.Generator) -> dict[str, str]:
    """One caption in each language; attributes are left out at random."""
    seen = [
        "left" if stand["mirror"] else "right",
        "large" if stand["size"] > 0.86 else "small",
        "tilted" if abs(stand["turn"]) > 4 else "upright",
    ]
    kept = [word for word in seen if rng.random() < 0.6]
    form = int(rng.integers(len(ENGLISH_FORMS)))
    english = ENGLISH_FORMS[form].format(name.replace("_", " "))
    german = GERMAN_FORMS[form].format(GERMAN[name])
    return {
        "en": ", ".join([english, *(WORDS[word][0] for word in kept)]),
        "de": ", ".join([german, *(WORDS[word][1] for word in kept)]),
    }


LABEL_NAMES = (*CATEGORIES, *FAMILIES)


def labels(name: str) -> list[int]:
    """Label ids: the class and, from 64 on, its family. Two photos are relevant to each other if they share one."""
    names = list(CATEGORIES)
    return [names.index(name), len(names) + FAMILIES.index(CATEGORIES[name].family)]
