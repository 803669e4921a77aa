"""What people ask for and so small a model cannot do: in wordings without end, and the answer."""

# pyright: strict
# ruff: noqa: SIM905 - a table of words is read, and changed, as text.
# ruff: noqa: E501 - so are wordings.
# ruff: noqa: RUF001 - and other alphabets.

from dataclasses import replace

import talk
from beyond_code import code
from talk import Turn, beyond_me
from words import ADJECTIVES, NOUNS, ROLES, VERBS, Dice

LANGUAGES = """Python JavaScript TypeScript Java C C++ C# Go Rust Ruby PHP Swift Kotlin SQL bash HTML CSS
R Perl Lua Haskell Scala MATLAB React Vue Django Flask Arduino PowerShell Excel VBA assembly Node.js
python javascript java c++ html css sql rust react""".split()
TONGUES = """French German Spanish Italian Japanese Chinese Polish Dutch Swedish Greek Turkish Russian
Arabic Korean Portuguese English Latin Hindi Finnish Danish""".split()
# What is asked for, and what of: each with each.
MAKES = """write write write make create generate build code implement draft compose design prepare
give|me send|me show|me produce develop program craft help|me|write help|me|with help|me|make
write|me make|me i|need i|want get|me think|of come|up|with suggest finish improve edit plan""".split()
WORKS = """function script program class app website game bot page test module query macro loop regex
snippet parser sorter calculator api server client algorithm database table plugin component
essay poem song haiku letter mail email blog|post article report speech summary outline resume cv
cover|letter review tweet caption headline slogan sonnet novel chapter dialogue play|script biography
recipe diet meal|plan workout|plan travel|plan itinerary schedule budget business|plan to-do|list
quiz lesson|plan homework presentation exam|question study|guide translation name|for|my|company
regular|expression spreadsheet|formula dockerfile makefile config|file readme commit|message
birthday|card wedding|speech apology complaint product|description press|release logo drawing picture
youtube|script podcast|intro riddle rap crossword sudoku chess|game text|adventure legal|contract
""".replace("\n", " ").split()
DOING = """sort|a|list reverse|a|string parse|a|file read|a|csv download|a|page find|primes add|numbers
check|a|password validate|an|email connect|to|a|database draw|a|chart count|words merge|two|lists
scrape|a|website sum|a|column rename|files resize|an|image print|a|table send|mail open|a|window
compute|fibonacci solve|a|maze remove|duplicates flatten|a|list find|the|largest|number log|in|users
play|a|sound store|data call|an|api convert|temperatures|to|celsius format|dates swap|two|values
""".split()
EXPLAINED = """quantum|physics relativity photosynthesis gravity evolution blockchain inflation recursion
the|stock|market black|holes machine|learning neural|networks climate|change the|french|revolution
world|war|two the|roman|empire democracy capitalism philosophy stoicism dna vaccines electricity
magnetism the|internet how|computers|work how|engines|work pointers async/await object|oriented|programming
git docker kubernetes linux the|big|bang dark|matter entropy the|water|cycle taxes mortgages insurance
the|immune|system the|heart sleep dreams love happiness the|meaning|of|life free|will consciousness
""".split()

WORDINGS = [
    # code
    "Write a {language} program that prints {phrase}.", "Write hello world in {language}.",
    "How do I {doing} in {language}?", "how to {doing} in {language}", "{language} code to {doing}",
    "{language} {work} to {doing}", "write code to {doing}", "Give me some {language} code.",
    "Can you code?", "can you program in {language}", "Do you know {language}?",
    "What is the difference between {language} and {language}?", "teach me {language}",
    "What is {language}?", "which is better, {language} or {language}", "I want to learn {language}.",
    "regex for {phrase}", "a regex that matches {thing}s", "sql query for all {noun}s",
    "why does my {language} code not work", "My {language} {work} crashes with an error. What is wrong?",
    "how do i install {thing} on linux", "What does the error {thing} mean?", "unit tests for {thing}",
    "convert this {language} code to {language}", "How can I make my {language} code faster?",
    # texts
    "Summarize {phrase}.", "tl;dr {phrase} {phrase} {phrase}", "Rewrite this: {phrase} {phrase}.",
    "Make this sound more formal: {phrase} {phrase}", "Correct my grammar: {phrase}",
    "translate {phrase} to {tongue}", "Translate this to {tongue}: {phrase}",
    "What does {thing} mean in {tongue}?", "how do you say {phrase} in {tongue}",
    "Write a {adjective} poem about {topic}.", "a haiku about {topic}", "essay on {topic}, 500 words",
    "Write an email to my boss about {topic}.", "reply to this mail: {phrase} {phrase} {phrase}",
    "Write a letter to {name}.", "Summarize the book {phrase}.", "Proofread: {phrase} {phrase}",
    "What is another word for {thing}?", "Give me synonyms for {adjective}.", "define {thing}",
    # explanations and knowledge
    "Explain {explained}.", "Explain {explained} to a child.", "explain {explained} in simple terms",
    "What is {explained}?", "what's {explained}", "Tell me about {explained}.", "Tell me about {topic}.",
    "How does {explained} work?", "What do you know about {topic}?", "why is {topic} important",
    "Who was {name} {invented}?", "who won the {thing} cup", "Who is the president of {city}?",
    "When did the {explained} start?", "when was {city} founded", "What happened in {year}?",
    "What are the causes of {explained}?", "Compare {topic} and {topic}.", "history of {topic}",
    "pros and cons of {topic}", "What are the benefits of {topic}?", "facts about {topic}",
    "What is the tallest {noun} in the world?", "what is the best {noun} in {city}",
    "Is {topic} better than {topic}?", "Is it true that {phrase}?", "Does {thing} {verb} {thing}?",
    "Do {thing}s {verb} {thing}s?", "Are {thing}s {adjective}?", "Can a {thing} {verb} a {thing}?",
    "Which {noun} should I {verb}?", "Name ten {noun}s.", "list five {thing}s", "top 10 {noun}s",
    "Give me an example of {topic}.", "Who wrote {phrase}?", "who discovered {thing}",
    # of the day
    "What is the weather today?", "weather in {city}", "what time is it", "What day is it today?",
    "What is the date?", "What is in the news?", "latest news about {topic}", "news", "weather tomorrow",
    "What is the price of {thing}?", "bitcoin price", "Who won the game last night?",
    "What is on tv tonight?", "Search the web for {topic}.", "google {topic}", "look up {topic}",
    "open {thing}.com", "Find me a {noun} near {city}.", "Book a {noun} for me.", "call {name}",
    "Remind me to {verb} the {noun}.", "Play {phrase}.", "set an alarm", "Order me a {thing}.",
    # advice and plans
    "What should I {verb} today?", "What should I cook tonight?", "How do I cook {thing}?",
    "recipe for {thing} soup", "Give me a recipe with {thing} and {thing}.", "How can I lose weight?",
    "I have a headache. What can I do?", "is {thing} healthy", "i feel {adjective} today",
    "How do I learn {tongue}?", "How do I get a job as a {noun} {verb}er?", "should i {verb} my {noun}",
    "Plan a trip to {city}.", "plan my week", "Three days in {city}: what should I see?",
    "What gift should I buy for {name}?", "ideas for a {thing} party", "Give me ideas for {topic}.",
    "How do I {verb} a {noun}?", "how can i {verb} my {noun} better", "Help me {verb} my {noun}.",
    "Give me some advice about {topic}.", "What do you think of {topic}?", "Do you like {thing}?",
    "My {noun} is {adjective}. What now?", "Can you help me with my {noun}?", "help me with {topic}",
    "Let's play a game.", "Let's talk about {topic}.", "Pretend to be a {thing}.", "Be my {noun}.",
    "Interview me for a job.", "roleplay as {name}", "Ask me a question.", "Tell me something interesting.",
    "Tell me a fun fact.", "Surprise me.", "What is your opinion on {topic}?", "inspire me",
    # maths
    "What is {number} * {number}?", "what is {number} times {number}", "{number} / {number}",
    "Solve {digit}x + {digit} = {number}.", "What is the square root of {number}?",
    "Integrate x^{digit}.", "derivative of sin(x)", "What is {number} divided by {digit}?",
    "{number} percent of {number}", "Convert {number} miles to kilometers.", "is {number} prime",
    "If a {thing} costs {digit} and a {thing} costs {number}, what do {digit} of them cost?",
    "A train leaves {city} at {digit} o'clock. When does it arrive in {city}?", "prove that {phrase}",
    # in other tongues
    "Écris un poème sur {thing}.", "Peux-tu m'aider ?", "Quel temps fait-il ?", "Traduis {phrase}.",
    "Schreibe ein Programm in {language}.", "Kannst du mir helfen?", "Wie ist das Wetter?",
    "Was ist {thing}?", "Erkläre mir {thing}.", "Escribe un correo a {name}.", "¿Qué es {thing}?",
    "¿Puedes ayudarme con {thing}?", "Scrivi una poesia.", "Cos'è {thing}?", "Escreva um texto sobre {thing}.",
    "Vad är {thing}?", "Napisz wiersz.", "Напиши программу на {language}.", "Что такое {thing}?",
    "{thing}とは何ですか？", "詩を書いて", "写一首诗", "{thing}是什么？", "시를 써 줘",
]  # fmt: skip
ON_CODE = [
    "Fix this bug:", "fix this", "What does this do?", "Explain this code.", "what is wrong here", "Debug this:",
    "why does this fail", "Refactor this code.", "Make this faster.", "Add comments to this code:",
    "Write tests for this:", "review my code", "What is the output of this?", "translate to {language}",
    "Can you find the mistake?", "it doesnt work", "Add types to this function.", "complete this:",
    "What does this {language} code print?", "convert to {language}:", "Is this correct?", "optimize",
    "how do i run this", "Please document this function.", "simplify:", "I get an error here:", "",
]  # fmt: skip
ON_TEXT = [
    "Summarize this:", "Summarize the following text.", "summarise:", "Shorten this text:", "Translate to {tongue}:",
    "Fix the spelling:", "Rewrite this as a {adjective} mail.", "What is this text about?", "tldr",
    "Give me the key points.", "Turn this into bullet points:", "Continue this text:", "Paraphrase:",
    "What do you think of this?", "Make it longer:", "Write a reply to this mail:", "Improve this text.",
]  # fmt: skip
BEFORE = [
    "Please {}", "please {}", "Can you {}", "can you {}", "Could you {}", "could you please {}", "Hi, {}", "hey {}",
    "Hello! {}", "I need you to {}", "I want you to {}", "Would you {}", "hi can you {}", "ok {}", "So {}",
    "i need help: {}", "Question: {}", "You are an expert. {}", "Think step by step. {}", "quick, {}", "now {}",
]  # fmt: skip
BEHIND = [
    " please", " Please.", " Thanks!", " thanks", " in {tongue}", " Keep it short.", " with an example",
    " for beginners", " step by step", " Explain your answer.", " in {language}", " for my {noun}", " asap", " pls",
    " in 200 words", " with comments", " for my class", " I have to hand it in tomorrow.", " Be creative.",
]  # fmt: skip
# Who serves a model to a program says such things of it.
PARTS = [
    "You are an expert {language} programmer.", "You are a coding assistant.", "You are a helpful writer.",
    "You are a translator. Answer in {tongue}.", "You are a friendly assistant who knows everything.",
    "Answer as shortly as you can.", "You are an AI programming assistant. Follow the user's requirements carefully.",
    "You help people with {topic}.", "Use Markdown.", "Always answer in {tongue}.", "You are a {adjective} {noun} bot.",
]  # fmt: skip


def wish(dice: Dice) -> str:
    """Return what is asked for, as people type it."""
    match dice.randint(0, 9):
        case 0 | 1 | 2:
            text = _composed(dice)
        case 3:
            text = _about(dice, ON_CODE, code(dice))
        case 4 if dice.chance(0.5):
            text = _about(dice, ON_TEXT, _prose(dice))
        case _:
            text = _filled(dice, dice.pick(WORDINGS))
    return _typed(dice, text)


def turn(dice: Dice, name: str = "Pocket") -> Turn:
    """Return a wish, and what the model says who was given this name."""
    return Turn(wish(dice), beyond_me(name), "That is more than I can do.")


def named(dice: Dice) -> tuple[str, str]:
    """Return a system message that gives a name, and the name."""
    name = dice.name()
    system = dice.pick([
        "You are {}, a {{adjective}} {role}.", "Your name is {}. You are a {{adjective}} {role}.",
        "Act as {}, a {{adjective}} {role}.", "You are {}.", "Your name is {}.", "You are {}, a {role}.",
        "You are {}, an assistant who helps people with {{noun}}s. Be polite.", "Your name is {}. Be brief.",
    ]).replace("{role}", dice.pick(ROLES))  # fmt: skip
    return _filled(dice, system.format(name)), name


def hurried(dice: Dice) -> Turn:
    """Return a question that is not beyond it, as people type it in haste."""
    known = dice.pick(
        [talk.fact, talk.fact, talk.capital, talk.who, talk.sums, talk.emoji, talk.story]
    )
    turn = known(dice)
    asked = turn.asked.lower() if dice.chance(0.3) else turn.asked
    return replace(turn, asked=asked.rstrip("?.!") if dice.chance(0.3) else asked)


def part(dice: Dice) -> str:
    """Return a system message that gives no name."""
    return _filled(dice, dice.pick(PARTS))


def _composed(dice: Dice) -> str:
    """Return a wish that is put together from parts, most of them in a sentence of their own."""
    work = dice.pick(WORKS).replace("|", " ") if dice.chance(0.85) else dice.pick(NOUNS)
    article = dice.pick(
        [
            "a",
            "a",
            "a",
            "an" if work[0] in "aeiou" else "a",
            "the",
            "my",
            "some",
            "a " + dice.pick(ADJECTIVES),
        ]
    )
    if dice.chance(0.3):
        article = f"{article} {dice.pick(LANGUAGES)}"
    text = f"{dice.pick(MAKES)} {article} {work}".replace("|", " ")
    text += _filled(dice, dice.pick([
        "", "", " that {doing_s}", " to {doing}", " about {topic}", " about {topic}", " for {topic}", " for {name}",
        " in {language}", " on {topic}", " with {thing}", " which can {doing}", " that {verb}s a {noun}", " called {thing}",
    ]))  # fmt: skip
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
    match kind:
        case "language" | "tongue":
            return dice.pick(LANGUAGES if kind == "language" else TONGUES)
        case "work" | "doing" | "explained":
            return dice.pick({"work": WORKS, "doing": DOING, "explained": EXPLAINED}[kind]).replace(
                "|", " "
            )
        case "doing_s":
            verb, *rest = dice.pick(DOING).split("|")
            return " ".join([verb + "s", *rest])
        case "topic":
            return dice.pick(
                [
                    dice.word,
                    dice.phrase,
                    lambda: dice.pick(NOUNS) + "s",
                    lambda: _word(dice, "explained"),
                ]
            )()
        case "noun" | "verb" | "adjective":
            return dice.pick({"noun": NOUNS, "verb": VERBS, "adjective": ADJECTIVES}[kind])
        case "number" | "digit" | "year":
            return str(
                dice.randint(*{"number": (11, 9999), "digit": (2, 9), "year": (1000, 2030)}[kind])
            )
        case "city" | "name" | "phrase" | "invented":
            return getattr(dice, kind)()
        case _:
            return dice.word()


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
