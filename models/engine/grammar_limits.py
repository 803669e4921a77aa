"""What a grammar may have at the most, and what of JSON Schema cannot be obeyed.

The numbers are measured (docs/decisions/grammars.md): each keeps well away from where
llguidance gives up in mid-answer, or takes longer than a step.
"""

from dataclasses import dataclass
from enum import Enum

from models.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Cap:
    most: int
    words: str  # completes "{place} has {count}, and at most {most} are possible"


class Limit(Enum):
    SCHEMA_BYTES = Cap(256 << 10, "bytes")
    GRAMMAR_BYTES = Cap(64 << 10, "bytes")
    NESTING = Cap(60, "levels inside one another")
    ALTERNATIVES = Cap(1_000, "alternatives in one place")
    ENUM_ENTRIES = Cap(10_000, "values in one enumeration")
    PROPERTIES = Cap(2_000, "properties in one object")
    OPTIONAL_PROPERTIES = Cap(400, "optional properties in one object")
    REPETITIONS = Cap(100_000, "repetitions of one thing")
    RULES = Cap(2_000, "rules")

    def check(self, count: int, what: str) -> None:
        """Raises InvalidRequest where ``count`` is more than there may be."""
        if count > self.value.most:
            raise InvalidRequest(
                f"{what} has {count:,} {self.value.words}, and at most "
                f"{self.value.most:,} are possible."
            )


# Special tokens that a grammar names by their ids; the answers of one with more are not checked.
MOST_NAMED = 64

SECONDS_TO_CHECK = 2.0  # for one grammar; one that takes longer is refused
# More for each tool, which is known by itself by then: 2 ms of work, on a computer that is busy.
SECONDS_A_PART = 0.05

# Keywords of JSON Schema that change what is valid, and that no grammar of ours can follow.
# A schema that uses one is refused, with its place; docs/decisions/grammars.md prints them.
UNSUPPORTED_KEYWORDS = frozenset(
    {
        "not",
        "if",
        "uniqueItems",
        "contains",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
    }
)
# Cases of keywords that are known otherwise.
UNSUPPORTED_CASES = (
    '"oneOf" whose branches may overlap',
    '"minProperties" above 1 and "maxProperties" where names are open or optional',
    '"multipleOf" for numbers that are all below 0, where schemas are joined ("allOf" and such)',
    '"$ref" to another document',
    '"pattern" with look-ahead, look-behind, back-references or word boundaries',
)
UNSUPPORTED_FORMATS = frozenset(
    {
        "idn-email",
        "idn-hostname",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    }
)
# What is obeyed. Any other keyword says nothing of what is valid, and is passed over.
SUPPORTED_KEYWORDS = frozenset(
    {
        "type",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "$anchor",
        "$id",
        "$schema",
        "items",
        "additionalItems",
        "prefixItems",
        "minItems",
        "maxItems",
        "properties",
        "additionalProperties",
        "patternProperties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    }
)
SUPPORTED_FORMATS = frozenset(
    {
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uuid",
    }
)
