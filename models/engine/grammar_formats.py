"""The formats of JSON Schema, as patterns that have an end: what is written must be finished.

A pattern of ours stands for a format where llguidance's own says too much: its dates have a
30th of February in no month, but a 29th in every year, and fractions of seconds without end.
"""

from collections.abc import Mapping

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP = "(?:0[48]|[2468][048]|[13579][26])"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|(?:[0-9]{{2}}{_LEAP}|{_LEAP}00)-02-29)"
)
# No leap seconds: few who read a time know them.
_TIME = (
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# RFC 3986, without addresses in brackets. With llguidance's own and a length behind it the one
# in llama.cpp gives up.
_ENCODED = "%[0-9A-Fa-f]{2}"
_IN_A_PART = "[A-Za-z0-9._~!$&'()*+,;=:@-]"
_URI = (
    "[A-Za-z][A-Za-z0-9+.-]{0,19}:"
    "(?://(?:[A-Za-z0-9._~!$&'()*+,;=:-]{1,60}@)?[A-Za-z0-9._~-]{1,100}(?::[0-9]{1,5})?"
    f"(?:/(?:/|{_IN_A_PART}|{_ENCODED}){{0,200}})?"
    f"|/?(?:{_IN_A_PART}|{_ENCODED})(?:/|{_IN_A_PART}|{_ENCODED}){{0,200}})"
    f"(?:\\?(?:[/?]|{_IN_A_PART}|{_ENCODED}){{0,200}})?"
    f"(?:#(?:[/?]|{_IN_A_PART}|{_ENCODED}){{0,80}})?"
)

PATTERNS: Mapping[str, str] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uri": f"^{_URI}$",
}
# Characters, where nobody has said: of formats that llguidance knows well. Addresses of
# computers and UUIDs have their length.
LONGEST: Mapping[str, int] = {
    "duration": 32,
    "email": 100,
    "hostname": 100,
}
