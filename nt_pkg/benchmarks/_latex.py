r"""One form of an answer in LaTeX, and the differences that Math-Verify does not see.

`normal_form` takes away what is only spelling: commands for space and looks, other commands for
fractions and degrees, braces that may be left out, characters that have a command. `differ` knows
pairs that Math-Verify takes for equal: another base, unit, kind of brackets, length or letter.
"""

import re
import unicodedata
from fractions import Fraction

from nt_pkg.benchmarks._stated import strip_marks

MAX_CHARS = 2_000  # an answer is shorter; the patterns below are for answers only

_CHARACTERS = {
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u22c5": "\\cdot ",
    "\u00f7": "/", "\u2215": "/", "\u2044": "/", "\u03c0": "\\pi ", "\u221e": "\\infty ",
    "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u222a": "\\cup ",
    "\u2208": "\\in ", "\u00b1": "\\pm ", "\u00bd": "\\frac{1}{2}", "\u00bc": "\\frac{1}{4}",
    "\u00be": "\\frac{3}{4}", "\u2153": "\\frac{1}{3}", "\u2154": "\\frac{2}{3}",
    "\u00b0": "^\\circ ", "\u03b8": "\\theta ", "\u03b1": "\\alpha ", "\u03b2": "\\beta ",
    "\u03bb": "\\lambda ", "\u039b": "\\Lambda ", "\u03c3": "\\sigma ", "\u03c9": "\\omega ",
    "\u221a": "\\sqrt ", "\u202f": "\\,", "\u2009": "\\,", "\u00a0": "~",
}  # fmt: skip
_FOLD = str.maketrans(
    {**_CHARACTERS, **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}}
)
_HIGH = dict(zip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a\u207f",
                 "0123456789-+n", strict=True))  # fmt: skip
_LOW = {chr(0x2080 + digit): str(digit) for digit in range(10)}
_LOOKS = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits"
    r"|tiny|small|normalsize|large|Large|LARGE|huge|bf|it|rm|boldmath)(?![A-Za-z])\.?"
    r"|\\color\s*\{[^{}]{0,40}\}|\\textcolor\s*\{[^{}]{0,40}\}"
)
_WRAP = re.compile(
    r"\\(?:boldsymbol|bm|mathbf|mathbfit|mathit|bold|underline|mathnormal|ensuremath|pmb)\s*"
    r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,99}\}){0,99}\}){0,300})\}"
)
_SPACE = re.compile(
    r"(?<!\\)(?:\\[,;:!>]|\\\s|\\q?quad(?![A-Za-z])|\\(?:thin|med|thick)space(?![A-Za-z])|~)"
)
_GROUP = r"(?:\\[,;:!]|,\s?\\!|\{,\}|\\ |~)"
_GROUPED = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:{_GROUP}\s{{0,3}}\d{{3}}){{1,40}}(?!\d)")
_DEGREES = re.compile(
    r"\^?\s*\{\s*\^?\s*\\(?:circ|degree)\s*\}|\^\s*\\(?:circ|degree)(?![A-Za-z])|\\degree(?![A-Za-z])"
    r"|(?<=\d)\s*\\(?:text|mathrm)\s*\{\s*degrees?\s*\}|(?<=\d) ?degrees?\Z"
)
_ARGUMENT = r"(?:[\dA-Za-z]|\\[A-Za-z]+(?![A-Za-z{]))"
_FRAC = re.compile(r"\\[dtc]?frac(?![A-Za-z])\s*")
_HALF_FRAC = re.compile(
    rf"\\frac(?:({_ARGUMENT})\s*({_ARGUMENT})|([\dA-Za-z]|\\(?!sqrt|frac|text)[A-Za-z]+)\s*(?=\{{)|(\{{[^{{}}]{{0,99}}\}})\s*({_ARGUMENT}))"
)
_HALF_SQRT = re.compile(r"\\sqrt\s*(\d+(?=\W|\Z)|[\dA-Za-z]|\\[A-Za-z]+(?![A-Za-z{]))")
_SINGLE = re.compile(r"([\^_])\s*([\dA-Za-z])(?![\dA-Za-z])")
_FUNCTION = re.compile(
    r"\\(sin|cos|tan|cot|sec|csc|log|ln)\s{0,9}(?:\^\s{0,9}(?:(\d)|\{(\d{1,3})\}))?\s{0,9}"
    r"([A-Za-z]|\\(?:theta|alpha|beta|phi|pi|omega)(?![A-Za-z]))(?![A-Za-z({^_])"
)
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mbox)\s*\{\s*([^{}]{0,200}?)\s*\}"
)
_REPEATING = re.compile(r"(?<![\d.])(\d{0,20})\.(\d{0,20})\\overline\s*\{\s*(\d{1,20})\s*\}")
_BLANK = re.compile(r"(?<![\dA-Za-z])\s+|\s+(?![\dA-Za-z])")
_NUMBER = re.compile(
    r"([-+]?)(?:(\d{1,3}(?:,\d{3}){1,40}|\d{1,400})?(\.\d{1,400})?)"
    r"(?:[eE]([-+]?\d{1,3})|(?:\\times|\\cdot)\s?10\^\{?([-+]?\d{1,3})\}?)?"
)
_POWER = re.compile(r"([-+]?)(\d{1,6})\^\{?([-+]?\d{1,3})\}?")
_RATIO = re.compile(
    r"([-+]?)(?:\\frac\{([^{}]{1,99}(?:\{[^{}]{1,9}\})?)\}\{([^{}]{1,99}(?:\{[^{}]{1,9}\})?)\}|([\d.]{1,400})/([\d.]{1,400}))"
)
_BASE = re.compile(r"\(?([\dA-F,]{1,99})\)?_\{?(?:\\text\{)?(\d{1,2}|[a-z]{3,7})\}{0,2}")
_BASES = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 2
    )
}
_UNIT = re.compile(
    r".*[\d})]\s?(?:\\text\{([^{}]{1,40})\}|([A-Za-z]{1,20}(?:/[a-z]{1,4})?))(?:\^\{?(\d)\}?)?",
    re.DOTALL,
)
_UNITS = {
    spelling: name
    for name, spellings in {
        "m": "meter meters metre metres", "km": "kilometer kilometers kilometre kilometres",
        "cm": "centimeter centimeters centimetre centimetres", "mm": "millimeter millimeters",
        "in": "inch inches", "ft": "foot feet", "yd": "yard yards", "mi": "mile miles",
        "s": "sec secs second seconds", "min": "mins minute minutes", "h": "hr hrs hour hours",
        "day": "days", "week": "weeks", "month": "months", "year": "yr yrs years",
        "g": "gram grams", "kg": "kilogram kilograms", "mg": "milligram milligrams",
        "lb": "lbs pound pounds", "oz": "ounce ounces", "L": "l liter liters litre litres",
        "mL": "ml milliliter milliliters", "dollar": "dollars", "cent": "cents",
        "mph": "", "km/h": "kmh", "m/s": "", "N": "newton newtons", "J": "joule joules",
        "W": "watt watts", "kW": "", "Hz": "hertz", "kHz": "", "MHz": "", "Pa": "", "kPa": "",
        "V": "volt volts", "K": "kelvin", "degree": "degrees", "rad": "radian radians",
    }.items()
    for spelling in (name, *spellings.split())
}  # fmt: skip
_LETTER = re.compile(r"\\text\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]+")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "phi", "psi", "omega",
    "sigma", "tau", "rho", "xi", "eta", "zeta", "kappa",
}  # fmt: skip
_OPENING = ("(", "[", "{", "\\{", "\\lbrace", "\\langle")
_CLOSING = (")", "]", "}", "\\}", "\\rbrace", "\\rangle")
_OPENERS = {"(": "(", "[": "[", "\\{": "{", "\\lbrace": "{", "\\langle": "<"}
_BRACKETS = re.compile(
    r"\\lbrace(?![A-Za-z])|\\rbrace(?![A-Za-z])|\\[lr]angle(?![A-Za-z])|\\.|[()\[\]{},;]"
)
_SEPARATOR = re.compile(
    r"\\text\{,?\s?(?:and|or)\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\(?:lor|vee)(?![A-Za-z])"
)
_NAMED = re.compile(r"\A(?:[A-Za-z]|\\[a-z]{2,8})(?:\\in(?![A-Za-z])|=)\s?")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def normal_form(text: str) -> str:
    r"""Return a text that spells the same answer, for comparing and for Math-Verify.

    Blanks between two words or numbers stay, because "1 1/2" is not "11/2".
    """
    text = unicodedata.normalize("NFC", strip_marks(text))
    text = _scripts(text.translate(_FOLD))
    if len(text) > MAX_CHARS:
        return " ".join(text.split())
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    text = _LOOKS.sub("", text)
    for _ in range(3):
        text = _WRAP.sub(r"{\1}", text)
    text = strip_marks(_unbraced(strip_marks(_SPACE.sub(" ", text))))
    text = _DEGREES.sub(r"^\\circ ", text)
    text = _TEXT.sub(_text, text)
    text = _HALF_FRAC.sub(_braced, _FRAC.sub(r"\\frac", text))
    text = re.sub(r"(?<=\})\s+(?=\{)", "", text)
    text = _HALF_SQRT.sub(r"\\sqrt{\1}", text)
    text = _REPEATING.sub(_fraction, _FUNCTION.sub(_applied, text))
    text = _SINGLE.sub(r"\1{\2}", text)
    text = " ".join(_BLANK.sub("", text).split())
    text = _unbraced(text.rstrip(".,;").strip())
    base = _base(text)
    return f"{base[0]}_{{{base[1]}}}" if base else text


def _scripts(text: str) -> str:
    for sign, digits in (("^", _HIGH), ("_", _LOW)):
        letters = "".join(digits)
        parts = re.split(f"([{letters}]{{1,40}})", text)
        parts[1::2] = [f"{sign}{{{''.join(map(digits.__getitem__, p))}}}" for p in parts[1::2]]
        text = "".join(parts)
    return text


def _unbraced(text: str) -> str:
    """Return a text without braces around all of it."""
    while text[:1] == "{" and text[-1:] == "}" and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int:
    depth = 0
    for token in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.start()
    return -1


def _text(found: re.Match[str]) -> str:
    content = found[1]
    before = found.string[: found.start()].rstrip()[-1:]
    is_letter = len(content) == 1 and content.isalpha()
    if re.fullmatch(r"[-+]?[\d.]+", content) or (
        is_letter and (content in "ei" or not re.match(r"[\d})]", before))
    ):
        return content
    return f"\\text{{{content}}}"


def _braced(found: re.Match[str]) -> str:
    one, other, only, braced, last = found.groups()
    if one:
        return f"\\frac{{{one}}}{{{other}}}"
    return f"\\frac{{{only}}}" if only else f"\\frac{braced}{{{last}}}"


def _applied(found: re.Match[str]) -> str:
    power = found[2] or found[3]
    return f"\\{found[1]}{f'^{{{power}}}' if power else ''}({found[4]})"


def _fraction(found: re.Match[str]) -> str:
    whole, fixed, repeated = found.groups()
    nines = (10 ** len(repeated) - 1) * 10 ** len(fixed)
    value = Fraction(int((whole + fixed) or "0"), 10 ** len(fixed)) + Fraction(int(repeated), nines)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def number(text: str) -> Fraction | None:
    """Return the value of a number in normal form, None for anything else or for a huge one."""
    if found := _RATIO.fullmatch(text):
        sign, *parts = found.groups()
        top, bottom = (number(part) for part in parts if part)
        if top is None or not bottom:
            return None
        return -top / bottom if sign == "-" else top / bottom
    if found := _POWER.fullmatch(text):
        base, exponent = int(found[2]), int(found[3])
        if base == 0:
            return None
        value = Fraction(base) ** exponent
        return -value if found[1] == "-" else value
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    value = Fraction((found[2] or "0").replace(",", "") + (found[3] or ""))
    value *= Fraction(10) ** int(found[4] or found[5] or 0)
    return -value if found[1] == "-" else value


def differ(gold: str, other: str) -> bool:
    """Return whether two normal forms differ in a way that Math-Verify does not see."""
    values = number(gold), number(other)
    if values[0] is not None and values[1] is not None:
        return abs(values[0] - values[1]) > max(map(abs, values)) / 1000  # type: ignore[arg-type]
    for of in (_base, _unit, _brackets):
        kinds = of(gold), of(other)
        if None not in kinds:
            if kinds[0] != kinds[1]:
                return True
            if of is _base:
                return False
    if _is_repeated(gold, other):
        return True
    letters = _letters(gold), _letters(other)
    return bool(letters[0] - letters[1]) and bool(letters[1] - letters[0])


def _base(text: str) -> tuple[str, str] | None:
    found = _BASE.fullmatch(text)
    return (found[1].replace(",", ""), _BASES.get(found[2], found[2])) if found else None


def _unit(text: str) -> tuple[str, str] | None:
    if text.startswith("\\$"):
        return "dollar", "1"
    for end, name in (("\\%", "%"), ("%", "%"), ("^\\circ", "degree"), ("^{\\circ}", "degree")):
        if text.endswith(end):
            return name, "1"
    found = _UNIT.fullmatch(text)
    if found is None:
        return None
    word, power = (found[1] or found[2]).strip().rstrip("."), found[3] or "1"
    for prefix, exponent in (("square ", "2"), ("sq ", "2"), ("cubic ", "3")):
        if word.startswith(prefix):
            word, power = word.removeprefix(prefix), exponent
    unit = _UNITS.get(word) or _UNITS.get(word.lower() if len(word) > 3 else word)
    return (unit, power) if unit else None


def _elements(text: str) -> tuple[str | None, list[str]]:
    """Return the brackets around all of a text, and its elements."""
    text = _NAMED.sub("", _SEPARATOR.sub(",", text))
    depth, first_end = 0, None
    opener: str | None = None
    cuts: tuple[list[int], list[int]] = [0], [0]  # outside of brackets, inside of one pair
    for token in _BRACKETS.finditer(text):
        sign = token[0]
        if sign in _OPENING:
            if token.start() == 0 and sign in _OPENERS:
                opener, cuts[1][0] = _OPENERS[sign], token.end()
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
            if depth == 0 and first_end is None:
                first_end = token.start() if token.end() == len(text) else -1
        elif sign in ",;" and depth in (0, 1):
            cuts[depth].append(token.end())
    if opener is not None and first_end is not None and first_end >= 0:
        starts, end = cuts[1], first_end
    else:
        opener, starts, end = None, cuts[0], len(text)
    stops = [*(start - 1 for start in starts[1:]), end]
    found = [text[a:b].strip() for a, b in zip(starts, stops, strict=True)]
    return opener, [each for each in found if each]


def _brackets(text: str) -> str | None:
    opener, found = _elements(text)
    return opener if len(found) > 1 else None


def _is_repeated(one: str, other: str) -> bool:
    """Return whether only one of two lists, or one of them more often, repeats an element."""
    texts = [_elements(text)[1] for text in (one, other) if not _THOUSANDS.fullmatch(text)]
    lengths = {len(each) for each in texts} | ({1} if len(texts) < 2 else set())
    return len(lengths) > 1 and any(len(set(each)) < len(each) for each in texts)


def _letters(text: str) -> set[str]:
    """Return the variables of a formula; three letters make a word."""
    found: set[str] = set()
    for token in _LETTER.findall(text):
        if token[0] != "\\":
            found.update(token if len(token) < 3 else ())
        elif token[1:].lower() in _GREEK:
            found.add(token)
    return found
