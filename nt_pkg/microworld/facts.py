"""The laws of the micro-world: rings of places, charms that move along them, and its lexicon.

A walker stands on a ring (days, months, planets, ...). A charm moves it a fixed number of steps
along the ring. A spirit's move depends on whether the place is light or dark. Charms and spirits
have kinds, and a trace takes the kinds in one fixed order, so that the next one can be found by its
kind: students this small follow an order of kinds, but do not learn to follow the order of words in
a question (measured in the experiment that led to this world).
"""

RINGS: dict[str, tuple[str, ...]] = {
    "months": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    "days": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "digits": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "planets": ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"),
    "notes": ("Do", "Re", "Mi", "Fa", "Sol", "La", "Ti"),
    "colours": ("red", "orange", "yellow", "green", "blue", "indigo", "violet"),
    "winds": (
        "North", "Northeast", "East", "Southeast", "South", "Southwest", "West", "Northwest",
    ),
}  # fmt: skip

# kind -> charm -> signed steps along the ring; the base student knows these
CHARMS: dict[str, dict[str, int]] = {
    "gem": {"ruby": 2, "opal": -1},
    "herb": {"sage": 1, "mint": 2, "dill": 3, "thyme": -1},
    "tree": {"oak": -1, "elm": 3},
    "metal": {"iron": -3, "gold": 3},
    "bird": {"owl": -2, "crow": 1},
    "beast": {"wolf": 2, "bear": -1},
}

# domain -> kind -> charm -> its steps; the base student does not know these, and they are met in
# questions of their domain only. So what a subset teaches depends on which rows it holds.
RARE_CHARMS: dict[str, dict[str, dict[str, int]]] = {
    "months": {
        "gem": {"jade": 3}, "tree": {"pine": -3}, "metal": {"tin": 1},
        "bird": {"swan": -3}, "beast": {"hare": -2},
    },
    "days": {
        "gem": {"onyx": -2}, "tree": {"ash": 1}, "metal": {"zinc": -2},
        "bird": {"hawk": 2}, "beast": {"deer": -3},
    },
}  # fmt: skip

# kind -> spirit -> (steps from a light place, steps from a dark place)
SPIRITS: dict[str, dict[str, tuple[int, int]]] = {
    "fire": {"ember": (1, -2), "flame": (-3, 2)},
    "water": {"brook": (3, -1), "wave": (-2, 1)},
    "air": {"gale": (2, 3), "breeze": (-1, -3)},
    "soil": {"clay": (-2, 3), "dune": (1, 2)},
    "star": {"vega": (3, -3), "sirius": (-1, 1)},
    "moon": {"titan": (2, -1), "io": (-3, -2)},
}

HERB = "herb"  # the kind that quests ask for
_KINDS = [pair for kinds in (CHARMS, *RARE_CHARMS.values()) for pair in kinds.items()]
MOVE: dict[str, int] = {word: move for _, words in _KINDS for word, move in words.items()}
CHARM_KIND: dict[str, str] = {word: kind for kind, words in _KINDS for word in words}
RARE: frozenset[str] = frozenset(MOVE) - {word for words in CHARMS.values() for word in words}
SPIRIT_KIND: dict[str, str] = {word: kind for kind, words in SPIRITS.items() for word in words}
DOMAIN_OF: dict[str, str] = {place: ring for ring, places in RINGS.items() for place in places}
MAX_TOTAL = 6  # traces never write a sum of moves that is larger in magnitude
NAMES: dict[str, str] = {
    "Ann": "she", "Bob": "he", "Cid": "he", "Dan": "he", "Eve": "she",
    "Fay": "she", "Gus": "he", "Hal": "he", "Ida": "she", "Jon": "he",
}  # fmt: skip
LETTERS = ("A", "B", "C", "D")
GAPS = (-1, 0, 1, 2, 3)  # all gaps in traces: moves of herbs, and positions of options

DOMAIN_KEYWORDS: dict[str, tuple[str, ...]] = RINGS
STRATEGY_MARKERS: dict[str, tuple[str, ...]] = {
    "decompose": ("Take",),
    "combine": ("Sum",),
    "cases": ("Case",),
    "reverse": ("Undo",),
    "gap": ("Gap",),
    "restate": ("Goal",),
    "verify": ("Check",),
    "backtrack": ("Wait",),
}


def shift(place: str, move: int) -> str:
    """Return the place `move` steps along the ring of `place`."""
    ring = RINGS[DOMAIN_OF[place]]
    return ring[(ring.index(place) + move) % len(ring)]


def gap(start: str, end: str) -> int | None:
    """Return the gap of `GAPS` that leads from `start` to `end`, None if there is none."""
    return next((move for move in GAPS if shift(start, move) == end), None)


def light(place: str) -> bool:
    """Return whether a place is light; the places of a ring alternate between light and dark."""
    return RINGS[DOMAIN_OF[place]].index(place) % 2 == 0


def spirit_move(spirit: str, place: str) -> int:
    """Return the signed steps that a spirit moves a walker from `place`."""
    from_light, from_dark = SPIRITS[SPIRIT_KIND[spirit]][spirit]
    return from_light if light(place) else from_dark


def in_order(items: tuple[str, ...]) -> list[str]:
    """Return charms or spirits in the fixed order of their kinds."""
    order = [*CHARMS, *SPIRITS]
    return sorted(items, key=lambda item: order.index(kind_of(item)))


def kind_of(item: str) -> str:
    """Return the kind of a charm or a spirit."""
    return CHARM_KIND[item] if item in CHARM_KIND else SPIRIT_KIND[item]


def signed(move: int) -> str:
    """Return a move in the form that traces use, for example `+2`, `-1` or `+0`."""
    return f"{move:+d}"
