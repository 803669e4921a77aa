"""The words that the synthetic dialogues are made of, and the dice that pick them."""

# pyright: strict
# ruff: noqa: SIM905 - a table of words is read, and changed, as text.

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

NAMES = """Anna Ben Carlos Dana Emil Fatima George Hana Ivan Julia Kofi Lena Marco Nina Oscar Priya
Quinn Rosa Sam Tara Umar Vera Will Xenia Yusuf Zoe Alice Bob Clara David Eva Felix Grace Henry Iris
Jack Karin Liam Maria Noah Olivia Peter Ruth Simon Theo Ursula Victor Wendy Yara Zara Ada Boris
Chen Diego Elena Farid Gina Hugo Ines Jonas Kira Luca Mina Nils Otto Paula Rafael Selma Tom Uma
Vikram Walter Yuki Aisha Bruno Carla Dmitri Esther Frank Greta Hassan Ingrid Jamal Kenji Laura
Miguel Nadia Omar Petra Ravi Sofia Tariq Viola Wanda Alex Bella Chris Daniel Emma Fiona Gabriel
Helen Isaac James Kate Leo Martha Nora Oliver Paul Rachel Sarah Thomas John Mary""".split()

CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Peru": "Lima", "Cuba": "Havana", "Norway": "Oslo",
    "Greece": "Athens", "Austria": "Vienna", "Poland": "Warsaw", "Ireland": "Dublin",
    "Portugal": "Lisbon", "Russia": "Moscow", "China": "Beijing", "India": "New Delhi",
    "Turkey": "Ankara", "Sweden": "Stockholm", "England": "London", "Finland": "Helsinki",
    "Denmark": "Copenhagen", "Switzerland": "Bern", "Belgium": "Brussels", "Hungary": "Budapest",
    "Canada": "Ottawa", "Mexico": "Mexico City", "Chile": "Santiago", "Argentina": "Buenos Aires",
    "Thailand": "Bangkok", "Vietnam": "Hanoi", "Morocco": "Rabat", "Ghana": "Accra",
    "Iceland": "Reykjavik", "Ukraine": "Kyiv", "Australia": "Canberra", "Nepal": "Kathmandu",
    "the Netherlands": "Amsterdam", "the United States": "Washington", "South Korea": "Seoul",
}  # fmt: skip

CITIES = [
    *CAPITALS.values(),
    *"""Boston Chicago Sydney Toronto Mumbai Lagos Zurich Geneva Milan Munich Hamburg Lyon Porto
    Seville Naples Krakow Bergen Glasgow Leeds Bristol Dallas Denver Seattle Austin Houston Phoenix
    Miami Atlanta Osaka Kyoto Shanghai Delhi Karachi Dubai Tunis Dakar Durban Quito Bogota Recife
    Perth Auckland Vancouver Montreal Calgary Basel Graz Ghent""".split(),
    "New York", "San Francisco", "Los Angeles", "Cape Town", "Hong Kong", "Rio de Janeiro",
]  # fmt: skip

WORDS = """apple river stone cloud tiger lamp garden music window paper silver orange bridge forest
candle rocket pencil mirror basket harbor velvet copper island meadow bread cheese tea coffee milk
sugar salt pepper onion carrot potato tomato lemon cherry melon grape banana bottle table chair
sofa carpet clock phone camera radio ladder hammer needle thread button pocket jacket shirt shoe
hat glove scarf ring coin wallet key door wall roof tower castle church market street road path
field hill valley lake ocean beach desert jungle wolf bear fox rabbit horse sheep goat cow pig
duck goose eagle owl crow spider ant bee butterfly fish whale shark dolphin snake frog turtle
flower rose tulip tree leaf root seed moon sun star planet comet wind rain snow storm thunder fire
smoke ash gold iron steel glass wood cotton wool silk leather plastic rubber book story poem song
dance film game puzzle ball bike train plane boat ship truck engine wheel motor cable screen
keyboard mouse printer letter stamp envelope parcel ticket map flag drum piano guitar violin flute
winter summer spring autumn morning evening night dream memory secret promise answer question
science history physics math art sport travel health jazz rock opera horror comedy drama""".split()

COLORS = """red blue green yellow black white purple pink brown gray gold silver turquoise violet
orange crimson teal""".split()

ADJECTIVES = """small big old new red blue quiet loud fast slow warm cold bright dark happy sad
brave clever gentle strange golden heavy light soft hard sweet sour round tall short kind lazy busy
friendly cheerful curious patient wise funny polite""".split()

ANIMALS = """dog cat bird horse rabbit fox owl mouse turtle frog bear goat duck parrot hamster
snake fish hedgehog""".split()

ROLES = """cook teacher doctor pirate gardener librarian guide farmer poet painter captain
detective musician baker pilot translator tutor coach nurse wizard robot historian""".split()

VERBS = """get find create delete update send add remove list show open close start stop book
cancel order buy sell check set read write copy move rename search calculate convert compare
count sort filter schedule play pause record print scan upload download share invite assign
approve reject archive restore track measure estimate predict analyze summarize translate
validate register subscribe reserve rent lock unlock enable disable fetch save load merge split
build draw paint plan review rate""".split()

NOUNS = """account alarm album appointment article backup bill booking branch budget calendar
card cart channel chart class client comment contact contract course customer device document
dossier driver employee event expense file flight folder form forecast garden goal group hotel
house image invoice issue item job lamp lesson license loan log machine meal meeting member memo
menu message movie note notice offer order package page parcel parking passenger password patient
payment permit photo picture playlist policy portfolio post price product profile project quote
rate recipe record refund reminder report request reservation review ride robot room route
salary sample schedule sensor server session shipment shop song stock student survey table task
team thermostat ticket timer tour trade train trip user vehicle video visit visitor warehouse
wallet website window workout""".split()

STARTS = "b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh st t tr v w y z".split()
VOWELS = "a e i o u ai ea ee ia io ou".split()
ENDS = ["", "", "", "l", "n", "r", "s", "t", "m", "k", "nd", "rt", "x", "sh"]


class Dice(Random):
    """Random choices that read like the sentence they make."""

    def pick(self, among: Sequence[T]) -> T:
        return among[int(self.random() * len(among))]

    def chance(self, part: float) -> bool:
        return self.random() < part

    def some(self, among: Sequence[T], least: int, most: int) -> list[T]:
        return self.sample(list(among), self.randint(least, most))

    def shuffled(self, among: Sequence[T]) -> list[T]:
        return self.sample(list(among), len(among))

    def word(self) -> str:
        return self.pick(WORDS) if self.chance(0.6) else self.invented()

    def invented(self) -> str:
        """Return a word that no dictionary has: it can only be copied."""
        parts = [self.pick(STARTS) + self.pick(VOWELS) for _ in range(self.randint(1, 3))]
        return "".join(parts) + self.pick(ENDS)

    def name(self) -> str:
        return self.pick(NAMES) if self.chance(0.5) else self.invented().capitalize()

    def city(self) -> str:
        return self.pick(CITIES) if self.chance(0.7) else self.invented().capitalize()

    def phrase(self, least: int = 2, most: int = 5) -> str:
        words = [self.word() for _ in range(self.randint(least, most))]
        if self.chance(0.4):
            words[0] = self.pick(["the", "my", "a", "our"]) + " " + words[0]
        if self.chance(0.2):
            words.insert(1, self.pick(["of", "in", "on", "from"]))
        return " ".join(words)

    def code(self) -> str:
        letters = "".join(self.pick("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(self.randint(1, 3)))
        return letters + self.pick(["", "-"]) + str(self.randint(1, 99999))

    def date(self) -> str:
        return f"{self.randint(1990, 2035)}-{self.randint(1, 12):02}-{self.randint(1, 28):02}"

    def time(self) -> str:
        return f"{self.randint(0, 23):02}:{self.randint(0, 59):02}"

    def email(self) -> str:
        host = self.pick(["example.com", "example.org", "mail.example"])
        return f"{self.name().lower()}@{host}"

    def path(self) -> str:
        file = f"{self.word()}.{self.pick(['txt', 'md', 'csv', 'json', 'png', 'pdf'])}"
        return self.pick(["", "/", "docs/", "/home/", f"{self.word()}/"]) + file

    def integer(self) -> int:
        return self.randint(0, self.pick([10, 20, 100, 100, 1000, 10000]))

    def number(self) -> float:
        return self.pick([1, 1, 1, -1]) * self.randint(1, 2000) / self.pick([2, 10, 10, 100])


def joined(parts: Sequence[str], last: str = " and ") -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return last.join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
