"""What a database's catalogue lets one suspect about a table: its cursor, and which columns hold personal data.

What belongs here: guesses by name, type and index, each with its reason. What does not: certainty; a draft says of every guess that it is
one, and a person decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from plinth.contracts.naming import snake
from plinth.contracts.physical import parse_physical_type
from plinth.sources.catalogue import SourceColumn, SourceTable

GUESSED = "classification_guessed"
"""Tag of a column whose classification was guessed from its name."""

# A last-change time as systems call it: UPDTS, updated_at, LastUpdate, modified, date_modified, CHGDAT, row_upd_ts, AEDAT, geaendert_am.
# Matched on the name without its underscores; "up" and "mod" alone are too short to mean anything.
_CHANGED = re.compile(
    r"(?:last|lst|row|rec|record|sys|dt|date|time|ts|tm)*"
    r"(?:upd|updt|update|updated|lastupd|modif|modified|modification|modify|mod|chg|chng|change|changed|geaendert|aenderung|maj|modifie)"
    r"(?:at|on|am|le|ts|dt|tm|tms|date|dat|datum|time|timestamp|stamp|datetime|utc|tz)*"
)
_SHORT = re.compile(r"(?:mod|maj|upd|chg|modify|change|update)")
_ALSO_CHANGED = ("aedat", "sysmodtime", "sysmodifiedtime", "lastmaintained")

_RESTRICTED = re.compile(
    r"(?:^|_)(?:birth\w*|bday|dob|geburts\w*|ssn|social_security\w*|nino|tax_?id|passport\w*|iban|bic|credit_?card\w*|card_?(?:no|number|num)|cvv|"
    r"cvc|pass_?word\w*|passwd|pwd|secret\w*|salary|wage|religion|ethnic\w*|gender|health\w*|diagnos\w*)(?:_|$)|^birth|^brth|^gebdat"
)
_CONFIDENTIAL = re.compile(
    r"(?:^|_)(?:e_?mail\w*|mail|phone\w*|tel|telno|telephone\w*|telefon\w*|mobile\w*|cell|fax\w*|first_?name|last_?name|sur_?name|full_?name|"
    r"given_?name|family_?name|middle_?name|maiden_?name|nick_?name|user_?name|login|vorname|nachname|post_?code|postcd|postal\w*|zip|"
    r"zip_?code|plz|address\w*|addr\w*|street\w*|strasse|house_?(?:no|number)|ip|ip_?addr\w*|latitude|longitude|lat|lon|lng|geo\w*|"
    r"contact_?person|signature)(?:_?\d+)?(?:_|$)|"
    r"^(?:cust|customer|client|emp|employee|pers|person|contact|user|member|patient|guest|debtor|kunde|kunden)_?(?:nm|name)\d*$"
)
_PLAIN_NAME = re.compile(r"^(?:name|nm)_?\d*$|_(?:name|nm)$")
_PEOPLE = re.compile(
    r"cust|client|person|people|user|employee|empl|staff|contact|member|patient|guest|subscriber|account|kunde|mitarbeiter|lead"
)


@dataclass(frozen=True)
class CursorGuess:
    """A column that looks like the time of the last change, and why."""

    column: str
    reason: str
    check: str


def guess_cursor(table: SourceTable) -> CursorGuess | None:
    """The column that most looks like the time of the last change; None without a key (changes could not be merged) or a likely one.

    A column has to be named like one, be a time stamp or date, and be not null or lead an index: one that is neither would miss rows
    or make every read a scan.
    """
    if not table.key:
        return None
    leading = {columns[0] for columns in table.indexed if columns}
    candidates = [
        column
        for column in table.columns
        if _named_like_change(column.name) and _is_time(column) and (not column.nullable or column.name in leading)
    ]
    if not candidates:
        return None
    best = min(candidates, key=lambda each: (_is_date(each), each.nullable, each.name not in leading))
    kind = "date" if _is_date(best) else "time stamp"
    facts = [
        f"a {kind}",
        "may be null" if best.nullable else "not null",
        "indexed" if best.name in leading else "not indexed",
    ]
    check = "does every insert and every update set it, also bulk jobs and triggers? If not, make this mode snapshot"
    if best.nullable:
        check += "; rows where it is null are found only by the comparison of keys"
    if best.name not in leading:
        check += "; an index on it would spare the database a scan at each load"
    return CursorGuess(best.name, f"{best.name} is named like a time of last change, and is {', '.join(facts)}", check)


def guess_classification(table: str, column: str) -> str | None:
    """`restricted` or `confidential` where the names suggest personal data, None where they suggest nothing."""
    name = snake(column)
    if _RESTRICTED.search(name):
        return "restricted"
    if _CONFIDENTIAL.search(name):
        return "confidential"
    if _PLAIN_NAME.search(name) and _PEOPLE.search(snake(table)):
        return "confidential"
    return None


def _named_like_change(name: str) -> bool:
    plain = snake(name).replace("_", "")
    if plain in _ALSO_CHANGED:
        return True
    return bool(_CHANGED.fullmatch(plain)) and not _SHORT.fullmatch(plain)


def _is_time(column: SourceColumn) -> bool:
    return parse_physical_type(column.physical_type).logical in ("timestamp", "date")


def _is_date(column: SourceColumn) -> bool:
    return parse_physical_type(column.physical_type).logical == "date"
