"""Names of the lakehouse for the names of a legacy system.

What belongs here: snake case, making names unique, and finding the one that was meant. What does not: quoting (`sql`).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a table or column may be called in the lakehouse. A leading underscore is the platform's own."""

_WORDS = (
    "all analyse analyze and any array as asc asymmetric between both by case cast check collate column "
    "constraint create cross current current_date current_time current_timestamp default deferrable "
    "delete desc describe distinct do drop else end except exists false fetch for foreign from full grant "
    "group having in initially inner insert intersect into is join lambda lateral leading left like limit "
    "merge natural no not null off offset on only or order outer over partition pivot pivot_longer "
    "pivot_wider placing primary qualify references returning right row rows select set show some "
    "summarize symmetric table then to trailing true union unique unpivot update user using values "
    "variadic view when where window with yes "
)
RESERVED = frozenset(_WORDS.split())
"""Words that DuckDB or Spark SQL reserve, and those that YAML takes for true or false (`no`): a name that is one gets a trailing
underscore, so that dbt models and contracts need no quotes."""

_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "œ": "oe", "ı": "i"})


def snake(text: str) -> str:
    """`text` in snake case and plain ASCII letters: `Order Date` and `orderDate` give `order_date`; "" where nothing is left."""
    plain = unicodedata.normalize("NFKD", text.strip())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain)
    plain = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", plain)
    plain = plain.lower().translate(_LETTERS)
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def lakehouse_names(physical: Iterable[str], fallback: str, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """One valid, unique name for each physical name, in order; those in `taken` are avoided.

    A name that leaves nothing (`名前`) becomes `<fallback>_<position>`, one that begins with a digit gets the fallback before it, a
    reserved word an underscore after it, and one that is taken a number.
    """
    used, names = set(taken), []
    for position, each in enumerate(physical, start=1):
        name = snake(each) or f"{fallback}_{position}"
        if not NAME.fullmatch(name):
            name = f"{fallback}_{name}"
        if name in RESERVED:
            name += "_"
        unique, number = name, 1
        while unique in used:
            number += 1
            unique = f"{name.rstrip('_')}_{number}"
        used.add(unique)
        names.append(unique)
    return tuple(names)


def near(name: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)` where one of `known` is close to `name`, else nothing."""
    by_fold = {word.lower().replace("_", ""): word for word in known}
    found = difflib.get_close_matches(str(name).lower().replace("_", ""), list(by_fold), n=1)
    return f" (did you mean {by_fold[found[0]]!r}?)" if found else ""
