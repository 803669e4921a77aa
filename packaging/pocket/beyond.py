"""What people ask for and so small a model cannot do: in wordings without end, and the answer."""

# pyright: strict

from dataclasses import replace

import talk
from beyond_code import code
from beyond_wordings import (
    BEFORE,
    BEHIND,
    DOING,
    EXPLAINED,
    LANGUAGES,
    MAKES,
    NAMED,
    OF_WHAT,
    ON_CODE,
    ON_TEXT,
    PARTS,
    POLITE,
    THANKS,
    TONGUES,
    WORDINGS,
    WORKS,
)
from talk import Turn, beyond_me
from words import ADJECTIVES, NOUNS, ROLES, VERBS, Dice


def wish(dice: Dice) -> str:
    """Return what is asked for, as people type it."""
    while _plain(text := _typed(dice, _wish(dice))) in _KNOWN:
        pass
    return text


def _wish(dice: Dice) -> str:
    match dice.randint(0, 9):
        case 0 | 1 | 2:
            return _composed(dice)
        case 3:
            return _about(dice, ON_CODE, code(dice))
        case 4 if dice.chance(0.5):
            return _about(dice, ON_TEXT, _prose(dice))
        case _:
            return _filled(dice, dice.pick(WORDINGS))


def _plain(text: str) -> str:
    return text.lower().rstrip("?.! ")


def turn(dice: Dice, name: str = "Pocket") -> Turn:
    """Return a wish, and what the model says who was given this name."""
    return Turn(wish(dice), beyond_me(name), "That is more than I can do.")


def named(dice: Dice) -> tuple[str, str]:
    """Return a system message that gives a name, and the name."""
    name = dice.name()
    system = dice.pick(NAMED).replace("{role}", dice.pick(ROLES))
    return _filled(dice, system.replace("{name}", name)), name


def hurried(dice: Dice) -> Turn:
    """Return a question that is not beyond it, as people type it in haste."""
    known = [
        _greeting,
        talk.fact,
        talk.fact,
        talk.capital,
        talk.who,
        talk.sums,
        talk.emoji,
        talk.story,
    ]
    turn = dice.pick(known)(dice)
    asked = turn.asked
    if dice.chance(0.3) and " named " not in asked:  # names are said as they were written
        asked = asked.lower()
    return replace(turn, asked=in_haste(dice, asked))


def in_haste(dice: Dice, asked: str) -> str:
    """Return what is asked with what comes before and behind it in a chat."""
    if dice.chance(0.15):
        asked = dice.pick(POLITE).format(asked[:1].lower() + asked[1:])
    if dice.chance(0.1):
        asked = asked.rstrip("?.!") + dice.pick(THANKS)
    return asked.rstrip("?.!") if dice.chance(0.3) else asked


def _greeting(dice: Dice) -> Turn:
    return talk.fact(dice, talk.GREETINGS)


def part(dice: Dice) -> str:
    """Return a system message that gives no name."""
    return _filled(dice, dice.pick(PARTS))


def _composed(dice: Dice) -> str:
    """Return a wish that is put together from parts, most of them in a sentence of their own."""
    work = dice.pick(WORKS) if dice.chance(0.85) else dice.pick(NOUNS)
    article = dice.pick(["a", "a", "an" if work[0] in "aeiou" else "a", "the", "my", "some"])
    if dice.chance(0.15):
        article = f"a {dice.pick(ADJECTIVES)}"
    if dice.chance(0.3):
        article = f"{article} {dice.pick(LANGUAGES)}"
    text = f"{dice.pick(MAKES)} {article} {work}" + _filled(dice, dice.pick(OF_WHAT))
    return text[0].upper() + text[1:] + dice.pick([".", ".", "", "!", "?"])


def _about(dice: Dice, wordings: list[str], pasted: str) -> str:
    asked = _filled(dice, dice.pick(wordings))
    link = dice.pick(["\n", "\n\n", " ", "\n\n"])
    return f"{asked}{link}{pasted}" if dice.chance(0.7) else f"{pasted}{link}{asked}"


def _prose(dice: Dice) -> str:
    sentences = [dice.phrase(4, 12).capitalize() + "." for _ in range(dice.pick([1, 2, 3, 5, 8]))]
    return " ".join(sentences)


def _filled(dice: Dice, wording: str) -> str:
    while "{" in wording:
        name, _, rest = wording.partition("{")[2].partition("}")
        wording = wording.partition("{")[0] + _word(dice, name) + rest
    return wording


def _word(dice: Dice, kind: str) -> str:
    if kind in _WORDS:
        return dice.pick(_WORDS[kind])
    if kind in _NUMBERS:
        return str(dice.randint(*_NUMBERS[kind]))
    if kind == "topic":
        return _word(dice, dice.pick(["thing", "phrase", "explained", "noun"]))
    if kind == "doing_s":
        verb, _, rest = dice.pick(DOING).partition(" ")
        return f"{verb}s {rest}"
    made = {
        "city": dice.city, "name": dice.name, "phrase": dice.phrase, "invented": dice.invented
    }  # fmt: skip
    return made.get(kind, dice.word)()


def _typed(dice: Dice, text: str) -> str:
    """Return a text with what comes before and behind it in a chat, and typed in haste."""
    if dice.chance(0.2):
        text = dice.pick(BEFORE).format(text[:1].lower() + text[1:])
    if dice.chance(0.12) and "\n" not in text:
        text = text.rstrip("?.!") + _filled(dice, dice.pick(BEHIND))
    if dice.chance(0.3):
        text = text.lower() if "\n" not in text else text[:1].lower() + text[1:]
    if dice.chance(0.25):
        text = text.rstrip("?.!")
    if dice.chance(0.05):
        text = text.upper()
    if dice.chance(0.1) and text[4:]:
        at = dice.randint(1, len(text) - 2)  # a slip of the fingers
        text = text[:at] + dice.pick(["", text[at + 1] + text[at]]) + text[at + 1 :]
    return text


_KNOWN = {
    _plain(question)
    for line in talk.FACTS.strip().splitlines()
    for question in line.split(" | ")[0].split(" / ")
}
_WORDS = {
    "language": LANGUAGES,
    "tongue": TONGUES,
    "work": WORKS,
    "doing": DOING,
    "explained": EXPLAINED,
    "noun": NOUNS,
    "verb": VERBS,
    "adjective": ADJECTIVES,
}
_NUMBERS = {"number": (11, 99999), "digit": (2, 9), "year": (1000, 2030)}
