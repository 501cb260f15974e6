"""How well the name of a column spells a phrase: STNUM, st_nbr and StreetNum all say "street number".

One rule: some run of the name's words, or the end of a compound, spells the phrase, whole,
abbreviated or with a slip of the pen. The better the spelling and the less of the name is left
over, the higher the score; neutral words ("name", "site") are never left over.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import permutations

from rapidfuzz.distance import Levenshtein

from crews.import_mapping.cpu_limit import check_cpu_limit

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_NAMESPACE = re.compile(r"^(?:\w+\.)+(?=\w+$)")
_VOWELS = re.compile("[aeiou]")
_LETTERS = str.maketrans(
    {
        "\u0131": "i",
        "ß": "ss",
        "ø": "o",
        "ł": "l",
        "æ": "ae",
        "œ": "oe",
        "đ": "d",
        "ð": "d",
        "þ": "th",
    }
    | {"Ø": "O", "Ł": "L", "Æ": "AE", "Œ": "OE", "Đ": "D", "Ð": "D", "Þ": "Th"}
)
EXACT = 1.0
MISSPELLED = 0.9
INITIALS = 0.8
ABBREVIATED = 0.7
COVERAGE_BONUS, BEGINNINGS_BONUS = 0.15, 0.1
AMBIGUOUS = 0.55  # two letters of one word: ST
BEGINNING, MIDDLE_LEFT_OUT = 1, 0
LEFT_OVER = 0.3
SHORT_WORD = 5  # words up to this length that differ in one letter mean different things
# Words in names of columns, of which one letter makes another word: no slip of the pen.
_OTHER_WORDS = """
approved approver banking barking billing change charge closed consent contact content context contract
country county customer dating device devise employed employee employer expect export import impact
latter letter license marker market manager massage message missing mission parent patent patient person
police policy poster posted product project receiver received section session station statue status
tender vendor
"""
OTHER_WORDS = frozenset(_OTHER_WORDS.split())
COMPOUND_PART = 3  # shorter parts of a compound are chance
NAME_CHARACTERS, NAME_WORDS = 100, 10  # what is read of a name: work grows with their squares
ABBREVIATION_CHARACTERS = 24
PERMUTED = 3  # phrases up to this many words may stand in any order


@lru_cache(20_000)
def words(name: str) -> tuple[str, ...]:
    """Lower-case words without accents: `StreetName`, `gis.STREET_NAME` -> street, name.

    Other points are those of abbreviations: `Mgr. Email` -> mgr, email. Of a name longer than anybody gives a column, the beginning.
    """
    last = _NAMESPACE.sub("", name)[:NAME_CHARACTERS]
    plain = unicodedata.normalize("NFKD", last.translate(_LETTERS))
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return tuple(word.lower() for word in _WORD.findall(kept)[:NAME_WORDS])


def likeness(name: str, phrases: Iterable[str], neutral: frozenset[str] = frozenset()) -> float:
    """0 to 1: how well the name spells the best of the phrases; `neutral` words cost nothing.

    Raises TooMuchWork where a `cpu_limit` is set and reached.
    """
    check_cpu_limit()
    return max((_likeness(name, phrase, neutral) for phrase in phrases), default=0.0)


def _likeness(name: str, phrase: str, neutral: frozenset[str]) -> float:
    if not (wanted := words(phrase)):
        return 0.0
    column, runs = _runs(name, neutral)
    first = {
        word[0] for word in wanted
    }  # no spelling begins with another letter: most runs are none
    spelled = [(_spelling(run, wanted), share) for run, share in runs if run[0] in first] + [
        (EXACT, share) for share in _endings(column, "".join(wanted))
    ]
    return max((how * (LEFT_OVER + (1 - LEFT_OVER) * share) for how, share in spelled), default=0.0)


def _uncompound(word: str, neutral: frozenset[str]) -> list[str]:
    """Take a neutral beginning or ending off a compound: gatenavn -> gate, navn."""
    if word in neutral:
        return [word]
    known = [plain for plain in neutral if COMPOUND_PART <= len(plain) < len(word) - 1]
    first = max(filter(word.startswith, known), key=len, default="")
    last = max(filter(word.removeprefix(first).endswith, known), key=len, default="")
    rest = word.removeprefix(first).removesuffix(last)
    return [part for part in (first, rest, last) if part] if len(rest) > 1 else [word]


@lru_cache(2_000)
def _runs(name: str, neutral: frozenset[str]) -> tuple[list[str], list[tuple[str, float]]]:
    """The words of a name, and every run of them with the share of the name that it makes up."""
    column = [part for word in words(name) for part in _uncompound(word, neutral)]
    size = len("".join(word for word in column if word not in neutral))
    count = sum(word not in neutral for word in column)
    runs = list[tuple[str, float]]()
    for start in range(len(column)):
        for end in range(start + 1, len(column) + 1):
            run = column[start:end]
            said = [word for word in run if word not in neutral]
            share = (len("".join(said)) / size + len(said) / count) / 2 if said else 0.0
            runs.append(("".join(run), share))
    return column, runs


def _endings(column: list[str], phrase: str) -> list[float]:
    """The phrase, spelled out, as the end of a compound; within it in scripts without spaces."""
    if len(phrase) < (COMPOUND_PART if phrase.isascii() else 2):
        return []
    size = len("".join(column))
    if not phrase.isascii():
        return [len(phrase) / size for word in column if phrase in word]
    least = len(phrase) + COMPOUND_PART  # page is no age, and update no date
    found = (word for word in column if word.endswith(phrase))
    return [len(phrase) / size for word in found if word == phrase or len(word) >= least]


@lru_cache(50_000)
def _spelling(short: str, phrase: tuple[str, ...]) -> float:
    whole = "".join(phrase)
    if short == whole:
        return EXACT
    if whole.startswith(short[0]) and _misspells(short, whole):
        return MISSPELLED
    if 1 < len(short) == len(phrase) and short == "".join(word[0] for word in phrase):
        return INITIALS
    if len(phrase) == 1:
        return _shortening(short, whole)
    if short in phrase:  # one word of the phrase is not the phrase
        return 0.0
    orders = permutations(phrase) if len(phrase) <= PERMUTED else [phrase]
    begun = (order for order in orders if order[0][0] == short[0])
    return max((_abbreviation(short, order) for order in begun), default=0.0)


def _misspells(short: str, whole: str) -> bool:
    """Whether one letter went wrong; not the last, in which endings differ, and to no other word."""
    if min(len(short), len(whole)) <= SHORT_WORD or short in OTHER_WORDS:
        return False
    is_ending = len(short) == len(whole) and short[:-1] == whole[:-1]
    return not is_ending and Levenshtein.distance(short, whole) == 1


def _shortening(short: str, word: str) -> float:
    """0.4 to 0.95: how much is left of one word that stands alone."""
    kind = _shortens(short, word) if 1 < len(short) < len(word) else None
    if kind is None or (kind == MIDDLE_LEFT_OUT and 2 * len(short) < len(word)):
        return 0.0
    if len(short) == 2:  # noqa: PLR2004 -- the number is the point
        return AMBIGUOUS
    return 0.4 + 0.1 * kind + 0.45 * len(short) / len(word)


def _abbreviation(short: str, phrase: tuple[str, ...]) -> float:
    """0.7 to 0.95: the more letters are left and the more words are cut at their end, the more."""
    whole = len("".join(phrase))
    if not len(phrase) < len(short) < whole or len(short) > ABBREVIATION_CHARACTERS:
        return 0.0
    beginnings = _beginnings(short, phrase)
    if beginnings is None:
        return 0.0
    bonus = COVERAGE_BONUS * len(short) / whole + BEGINNINGS_BONUS * beginnings / len(phrase)
    return ABBREVIATED + bonus


def _beginnings(short: str, phrase: tuple[str, ...]) -> int | None:
    """How many words gave their beginning, if each word in turn gave some letters; else None.

    Only the first word, and only a long one, may be down to its first letter (hno, stype).
    """
    most = {0: 0}  # letters of `short` that the words so far gave -> beginnings among them
    for place, word in enumerate(phrase):
        one_letter = len(word) == 1 or (place == 0 and len(word) > COMPOUND_PART)
        after = dict[int, int]()
        for start, before in most.items():
            for end, kind in _pieces(short, start, word, 1 if one_letter else 2):
                after[end] = max(after.get(end, 0), before + kind)
        most = after
    return most.get(len(short))


def _pieces(short: str, start: int, word: str, least: int) -> Iterator[tuple[int, int]]:
    """Where a piece of `short` that shortens the word may end, and how it shortens it."""
    for end in range(start + least, min(start + len(word), len(short)) + 1):
        kind = _shortens(short[start:end], word)
        if kind is not None:
            yield end, kind


def _shortens(piece: str, word: str) -> int | None:
    """1 for a beginning (str), also without vowels (cnty), 0 for first and last letters (nbr)."""
    if piece[0] != word[0]:
        return None
    if word.startswith(piece) or (
        len(piece) >= COMPOUND_PART and _skeleton(word).startswith(piece)
    ):
        return BEGINNING
    letters = iter(word)
    ends = piece[-1] == word[-1]
    return MIDDLE_LEFT_OUT if ends and all(letter in letters for letter in piece) else None


@lru_cache(20_000)
def _skeleton(word: str) -> str:
    return word[0] + _VOWELS.sub("", word[1:])
