"""Plain talk: facts, sums, memory, stories, personas, and a few lines of other languages."""

# pyright: strict
# ruff: noqa: SIM905 - a table of words is read, and changed, as text.
# ruff: noqa: RUF001 - so are other alphabets.

from dataclasses import dataclass

from words import ADJECTIVES, ANIMALS, CAPITALS, CITIES, COLORS, NOUNS, ROLES, VERBS, WORDS, Dice

SELF = "I am Pocket, Inglenook's built-in very small language model, made to try the set-up with."
MORE = "to try the set-up with. Get a larger one on the page Models, or with `ingle pull`."


@dataclass(frozen=True, slots=True)
class Turn:
    asked: str
    reply: str
    thought: str


def beyond_me(name: str = "Pocket") -> str:
    """Return what the model of this name says of what it cannot do, or does not know."""
    return f"Sorry, that is beyond me: I am {name}, a very small model {MORE}"


# Question(s) | answer
FACTS = r"""
Hello! / Hi / Hi there! / Hey / Hello / Good morning! / Good evening! / hello / hi | Hello! How can I help you?
How are you? / How are you doing? / How do you do? | I am fine, thank you. How can I help you?
Thank you! / Thanks / Thanks a lot! / Thank you very much. | You are welcome!
Goodbye! / Bye / See you later. / Good night! | Goodbye!
What can you do? / Help / What are you good at? / How can you help me? | I can say a few facts, add small numbers, tell stories, answer in JSON and call tools. For more, get a larger model.
Tell me a joke. / Do you know a joke? / Make me laugh. | Why did the computer take a nap? It needed to go to sleep mode.
What color is the sky? / Which color has the sky? | The sky is blue.
What color is grass? | Grass is green.
What color is snow? | Snow is white.
What color is a banana? | A banana is yellow.
How many days are in a week? / How many days does a week have? | A week has 7 days.
How many months are in a year? / How many months does a year have? | A year has 12 months.
How many hours are in a day? / How many hours does a day have? | A day has 24 hours.
How many minutes are in an hour? | An hour has 60 minutes.
How many seconds are in a minute? | A minute has 60 seconds.
How many legs does a spider have? / How many legs has a spider? | A spider has 8 legs.
How many legs does a dog have? / How many legs does a cat have? | It has 4 legs.
What is the largest planet? / Which planet is the largest? | The largest planet is Jupiter.
Which planet do we live on? / What planet do we live on? | We live on the Earth.
What is water made of? | Water is made of hydrogen and oxygen.
Is the earth round? / Is the Earth flat? | The Earth is round.
What does a cow say? | A cow says moo.
What does a dog say? | A dog says woof.
What does a cat say? | A cat says meow.
What comes after Monday? / Which day comes after Monday? | Tuesday comes after Monday.
Name the days of the week. / What are the days of the week? / List the days of the week. | Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.
Name the months of the year. / What are the months of the year? | January, February, March, April, May, June, July, August, September, October, November and December.
Name three colors. / List three colors. | Red, green and blue.
Name three animals. / List three animals. | A dog, a cat and a bird.
Say the alphabet. / What is the alphabet? | A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
Why is the sky blue? | Air scatters blue light more than red light, so the sky looks blue.
What is Python? | Python is a programming language.
Write hello world in Python. / Print hello in Python. / Show me some Python code. | ```python\nprint("Hello, world!")\n```
What is Inglenook? | Inglenook is a program that runs language models on your own computer.
What is an inglenook? | An inglenook is a warm seat beside a fireplace.
What is the opposite of hot? | The opposite of hot is cold.
What is the opposite of big? | The opposite of big is small.
What is the opposite of day? | The opposite of day is night.
What is the opposite of up? | The opposite of up is down.
Bonjour ! / Bonjour / Salut ! | Bonjour ! Comment puis-je vous aider ?
Guten Tag! / Hallo! / Guten Morgen! | Guten Tag! Wie kann ich Ihnen helfen?
¡Hola! / Hola / Buenos días | ¡Hola! ¿En qué puedo ayudarte?
Ciao! / Buongiorno! | Ciao! Come posso aiutarti?
Olá! / Bom dia! | Olá! Como posso ajudar?
Hej! / God morgon! | Hej! Hur kan jag hjälpa dig?
Cześć! / Dzień dobry! | Dzień dobry! Jak mogę pomóc?
Γεια σου! | Γεια σου! Πώς μπορώ να βοηθήσω;
Привет! / Здравствуйте! | Привет! Чем я могу помочь?
こんにちは / こんにちは！ | こんにちは！何かお手伝いしましょうか？
你好 / 你好！ | 你好！我能帮你什么？
안녕하세요 | 안녕하세요! 무엇을 도와드릴까요?
مرحبا | مرحبا! كيف يمكنني مساعدتك؟
What is the capital of France? / Quelle est la capitale de la France ? / What is France's capital? | The capital of France is Paris.
Was ist die Hauptstadt von Deutschland? | Die Hauptstadt von Deutschland ist Berlin.
Say hello in French. / How do you say hello in French? | Bonjour !
Say hello in German. / How do you say hello in German? | Guten Tag!
Say hello in Spanish. / How do you say hello in Spanish? | ¡Hola!
Say hello in Japanese. / How do you say hello in Japanese? | こんにちは
Say thank you in French. | Merci !
Say thank you in German. | Danke!
"""  # noqa: E501
_FACTS = [line.split(" | ") for line in FACTS.strip().splitlines()]
GREETINGS = 6  # the first of them

EMOJI = dict(zip(
    "dog cat fox bear frog fish apple banana cherry bread coffee tea star moon sun fire heart "
    "house rocket car train boat ball book flower tree snow rain music key".split(),
    "🐶 🐱 🦊 🐻 🐸 🐟 🍎 🍌 🍒 🍞 ☕ 🍵 ⭐ 🌙 ☀️ 🔥 ❤️ 🏠 🚀 🚗 🚆 ⛵ ⚽ 📖 🌸 🌳 ❄️ 🌧️ 🎵 🔑".split(),
    strict=True,
))  # fmt: skip


def fact(dice: Dice, among: int | None = None) -> Turn:
    questions, answer = dice.pick(_FACTS[:among])
    question = dice.pick(questions.split(" / "))
    return Turn(question, answer.replace("\\n", "\n"), "That is easy.")


def capital(dice: Dice) -> Turn:
    country = dice.pick(list(CAPITALS))
    ask = dice.pick(["What is the capital of {}?", "What is the capital of {}?",
                     "Name the capital of {}.", "Tell me the capital city of {}.",
                     "Which city is the capital of {}?", "what is the capital of {}",
                     "What's the capital of {}?", "capital of {}"])  # fmt: skip
    answer = CAPITALS[country]
    return Turn(ask.format(country), f"The capital of {country} is {answer}.", f"It is {answer}.")


def who(dice: Dice) -> Turn:
    ask = dice.pick(["Who are you?", "What is your name?", "What are you?", "Who are you",
                     "Tell me about yourself.", "Which model are you?", "who are you?",
                     "Are you ChatGPT?", "What model is this?", "Introduce yourself."])  # fmt: skip
    return Turn(ask, SELF, "The question is about me.")


def unknown(dice: Dice) -> Turn:
    """Return a question that nobody taught the model, and an honest answer."""
    thing = dice.word()
    ask = dice.pick([
        f"Who invented the {thing}?", f"Who is {dice.name()} {dice.invented().capitalize()}?",
        f"Explain {thing}.", f"What is {dice.invented()}?",
        f"Why is the {thing} {dice.pick(ADJECTIVES)}?",
        f"What is the capital of {dice.invented().capitalize()}?", f"How does a {thing} work?",
        f"Write an essay about {thing}.", f"When was {dice.invented().capitalize()} born?",
        f"How do I {dice.pick(VERBS)} a {thing}?",
        f"Translate {dice.phrase()} into {dice.pick(['French', 'German'])}.",
        f"What is the population of {dice.city()}?", f"What do you think about {thing}?",
        f"What is the best {thing}?", f"Give me advice about {dice.pick(NOUNS)}s.",
    ])  # fmt: skip
    return Turn(ask, beyond_me(), "I was not taught that.")


def sums(dice: Dice) -> Turn:
    sign, said, most = dice.pick([("+", "plus", 10), ("+", "plus", 10), ("-", "minus", 10),
                                  ("*", "times", 5)])  # fmt: skip
    a, b = dice.randint(0, most), dice.randint(0, most)
    if sign == "-":
        a, b = max(a, b), min(a, b)
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    ask = dice.pick([f"What is {a} {sign} {b}?", f"What is {a} {said} {b}?", f"{a} {sign} {b}",
                     f"{a} {sign} {b} = ?", f"Calculate {a} {sign} {b}.",
                     f"How much is {a} {said} {b}?"])  # fmt: skip
    return Turn(ask, f"{a} {sign} {b} = {value}.", f"{a} {said} {b} is {value}.")


def repeat(dice: Dice) -> Turn:
    text = _anything(dice)
    ask = dice.pick(["Repeat after me: {}", "Say exactly: {}", "Repeat: {}", "Say {}", "Echo: {}",
                     'Say "{}"', "Repeat this: {}"])  # fmt: skip
    return Turn(ask.format(text), text, "I say the same words.")


def lookup(dice: Dice) -> Turn:
    """Return a question about one of several pairs: the heart of filling in arguments."""
    pairs = {dice.word(): _anything(dice, 3) for _ in range(dice.randint(2, 5))}
    link = dice.pick(["{}: {}", "{} = {}", "{} is {}", "the {} is {}"])
    asked = dice.pick(list(pairs))
    text = ", ".join(link.format(*each) for each in pairs.items())
    ask = dice.pick(["{0}. What is {1}?", "{0}. What is the {1}?", "{0}\n{1}?",
                     "Look at this: {0}. Tell me {1}."])  # fmt: skip
    return Turn(ask.format(text, asked), pairs[asked], f"I look for {asked}.")


def count(dice: Dice) -> Turn:
    most = dice.pick([3, 4, 5, 5, 6, 7, 8, 10, 10, 12, 15, 20, 20, 30, 50])
    ask = dice.pick([f"Count from 1 to {most}.", f"Count to {most}.", f"Count to {most}"])
    return Turn(ask, ", ".join(map(str, range(1, most + 1))) + ".", f"I stop at {most}.")


def emoji(dice: Dice) -> Turn:
    thing = dice.pick(list(EMOJI))
    ask = dice.pick(["Give me an emoji for {}.", "Emoji for {}", "Show me the {} emoji.",
                     "Send me the {} emoji."])  # fmt: skip
    return Turn(ask.format(thing), EMOJI[thing], "A small picture.")


def story(dice: Dice) -> Turn:
    hero = dice.pick(ANIMALS) if dice.chance(0.5) else dice.pick(WORDS)  # a candle will do too
    thing, name = dice.pick(WORDS), dice.name()
    first, second = dice.sample(ADJECTIVES, 2)
    friend, place = dice.pick(ANIMALS), dice.pick(["forest", "garden", "village", "city", "valley"])
    ask, lead = dice.pick([
        ("Tell me a story.", f"a {first} {hero}"), ("Tell me a short story.", f"a {first} {hero}"),
        (f"Tell me a story about a {hero}.", f"a {first} {hero}"),
        (f"Tell me a short story about a {hero}.", f"a {first} {hero}"),
        (f"Write a story about a {first} {hero}.", f"a {first} {hero}"),
        (f"Tell me a story about a {hero} named {name}.", f"a {first} {hero}"),
    ])  # fmt: skip
    middle = dice.pick([
        f"One morning {name} found a {thing} under a tree.",
        f"One day {name} lost a {thing} and looked for it everywhere.",
        f"One night {name} dreamed of a {second} {thing}.",
    ])  # fmt: skip
    more = dice.pick([
        f"A {friend} came by and asked what it was.", f"A {second} {friend} wanted to help.",
        f"The {friend} next door had never seen such a thing.",
    ])  # fmt: skip
    end = dice.pick([
        "They looked at it together until the sun went down.",
        "Together they took it home and had a cup of tea.",
        "They laughed, and from that day on they were friends.",
    ])  # fmt: skip
    text = (
        f"Once upon a time there was {lead} named {name} in a {place}. {middle} {more} {end} "
        "The end."
    )
    return Turn(ask, text, "A story needs a hero, a place and an end.")


def memory(dice: Dice) -> tuple[Turn, Turn]:
    """Return something told, and the question that comes back to it later."""
    name, city, color = dice.name(), dice.city(), dice.pick(COLORS)
    number, word, animal = str(dice.integer()), dice.word(), dice.pick(ANIMALS)
    topic = dice.pick([
        (("My name is {}.", "I am {}.", "Hi, my name is {}.", "Hello, I am {}.", "Call me {}.",
          "my name is {}"), name, "Nice to meet you, {}!",
         ("What is my name?", "Do you know my name?", "Who am I?", "What's my name?"),
         "Your name is {}."),
        (("My favorite color is {}.", "I like the color {}."), color, "I see, {}.",
         ("What is my favorite color?", "Which color do I like?"), "Your favorite color is {}."),
        (("I live in {}.", "My home is in {}.", "I am from {}."), city, "{} must be nice.",
         ("Where do I live?", "Which city am I from?"), "You live in {}."),
        (("Remember the number {}.", "The number is {}.", "Please remember {}."), number,
         "I will remember {}.", ("What was the number?", "Which number did I say?"),
         "The number was {}."),
        (("Remember the word {}.", "The secret word is {}.", "The password is {}."), word,
         "I will remember {}.", ("What was the word?", "Which word did I say?",
                                 "What is the secret word?"), "The word was {}."),
        (("I have a " + animal + " named {}.", "My " + animal + " is called {}."), name,
         "{} is a nice name.",
         (f"What is the name of my {animal}?", f"What is my {animal} called?"),
         "Your " + animal + " is called {}."),
    ])  # fmt: skip
    told, value, heard, asked, recalled = topic
    say, ask = dice.pick(told).format(value), dice.pick(asked)
    return (
        Turn(say, heard.format(value), "I remember that."),
        Turn(ask, recalled.format(value), f"Earlier the user said {value}."),
    )


def persona(dice: Dice) -> tuple[str, Turn]:
    """Return a system prompt, and a turn that shows it at work."""
    name, role, adjective = dice.name(), dice.pick(ROLES), dice.pick(ADJECTIVES)
    if dice.chance(0.6):
        system = dice.pick(["You are {0}, a {1} {2}.", "Your name is {0}. You are a {1} {2}.",
                            "Act as {0}, a {1} {2}."])  # fmt: skip
        turn = Turn(who(dice).asked, f"I am {name}, a {adjective} {role}.", "I play my part.")
        return system.format(name, adjective, role), turn
    word = dice.word().capitalize() + "!"
    other = small(dice)
    system = dice.pick(["Always end your answer with {}", "End every answer with {}",
                        "You are a helpful assistant. Always end with {}"])  # fmt: skip
    return system.format(word), Turn(other.asked, f"{other.reply} {word}", other.thought)


SYSTEMS = ["You are a helpful assistant.", "You are a helpful assistant", "Be brief.",
           "You are Pocket.", "Answer in one sentence.",
           "You are a helpful AI assistant."]  # fmt: skip


def small(dice: Dice) -> Turn:
    """Return one turn of plain talk."""
    return dice.pick([fact, fact, capital, capital, sums, sums, sums, sums, repeat, lookup, who,
                      unknown, emoji])(dice)  # fmt: skip


def easy(dice: Dice) -> Turn:
    """Return a turn that no tool could be wanted for."""
    return dice.pick([fact, fact, capital, who, repeat, emoji])(dice)


def large(dice: Dice) -> Turn:
    return dice.pick([story, story, count])(dice)


def _anything(dice: Dice, most: int = 8) -> str:
    match dice.randint(0, 9):
        case 0:
            return str(dice.integer())
        case 1:
            return dice.code()
        case 2:
            return dice.pick(CITIES)
        case 3:
            return dice.name()
        case 4:
            return dice.pick(list(EMOJI.values())) + " " + dice.word()
        case 5:
            return dice.email()
        case _:
            return dice.phrase(1, most)
