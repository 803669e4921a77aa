"""The words in which people ask about a picture, and what comes round them in a chat."""

# pyright: strict

from words import Dice

COLOR = [
    "What is the color?", "What is the color?", "Tell me the color.", "What color is it?",
    "What color is it?", "What color is this?", "What colour is it?", "What is the colour?",
    "Which color is it?", "Which colour is it?", "What color do you see?", "Name the color.",
    "Which color do you see?", "What is its color?", "What colour is this?", "What color?",
    "In one word, what color is it?", "What color is in the picture?",
]  # fmt: skip
COLOR_OF = [
    "What color is the {}?", "What color is the {}?", "What is the color of the {}?",
    "Which color is the {}?", "What colour is the {}?", "Which color has the {}?",
    "Tell me the color of the {}.",
]  # fmt: skip
SHAPE = [
    "What is the shape?", "What is the shape?", "Tell me the shape.", "What shape is it?",
    "What shape is it?", "Which shape is it?", "What shape is this?", "Which shape do you see?",
    "What shape do you see?", "Name the shape.", "What is this?", "What is it?",
    "What is in the picture?", "What is in this picture?", "What shape?", "What is its shape?",
    "In one word, what is this?", "What is in the image?",
]  # fmt: skip
COUNT = [
    "What is the count?", "What is the count?", "Tell me the count.", "How many are there?",
    "How many shapes are there?", "How many shapes are there?", "How many figures are there?",
    "How many do you see?", "How many shapes do you see?", "How many figures do you see?",
    "How many shapes are in the picture?", "How many figures are in the picture?",
    "How many things do you see?", "How many objects are there?", "Count the shapes.",
    "Count the figures.", "How many?",
]  # fmt: skip
PLACE = [
    "What is the place?", "What is the place?", "Tell me the place.", "Where is it?",
    "Where is it?", "Where is it in the picture?", "Where do you see it?", "Name the place.",
    "What is the position?", "What is its place?", "Where is the shape?", "Where in the picture?",
    "Tell me where it is.",
]  # fmt: skip
PLACE_OF = ["Where is the {}?", "Where is the {}?", "Where is the {} in the picture?"]
NUMBER = [
    "What is the number?", "What is the number?", "Tell me the number.", "What number is it?",
    "What number is it?", "Which number is it?", "What number is this?", "Read the number.",
    "Which number do you see?", "What number do you see?", "What does it say?", "What is this?",
    "What is written here?", "What is in the picture?", "Which digits do you see?", "Read it.",
    "What number is in the picture?",
]  # fmt: skip
DESCRIPTION = [
    "What do you see?", "What do you see?", "Describe the picture.", "Describe this picture.",
    "Describe the image.", "What does the picture show?", "What can you see?", "Describe it.",
    "What do you see in this picture?", "Describe what you see.",
]  # fmt: skip

# In front of a picture, where the question is behind it.
INTRODUCTIONS = [
    "Look at this:", "Here is a picture.", "Here is a picture:", "Look at this picture.",
    "I have a question.", "This is a picture:", "Hello!", "Please look at this.", "Picture:",
]  # fmt: skip
# Behind a picture, where the question is in front of it.
ENDINGS = ["Answer in one word.", "Be brief.", "Thank you!", "Please.", "Thanks", "One word."]


def typed(dice: Dice, question: str) -> str:
    """Return a question as one types it: now and then in haste."""
    if dice.chance(0.1):
        question = question[0].lower() + question[1:]
    if dice.chance(0.1):
        question = question.rstrip("?.")
    return question
