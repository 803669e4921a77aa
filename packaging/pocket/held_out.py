"""Questions beyond so small a model, as people type them first, in wordings that training has not."""

# pyright: strict
# ruff: noqa: E501 - questions are read, and changed, as they stand.

CODE = [
    "Write a Python function that sorts a list of tuples by the second element.",
    "how to center a div", "write me some html", "fix this bug: my loop never ends",
    "bubble sort in java", "Implement a linked list in Rust with push and pop.", "create a tic tac toe game in javascript",
    "what's wrong with this code?\n\nfor i in range(10)\n    print(i)", "js debounce function", "Write a SQL query to find the second highest salary.",
    "explain what this function does\n\ndef f(n):\n    return 1 if n < 2 else n * f(n - 1)",
    "could you write a bash one-liner to delete all node_modules folders", "fizzbuzz", "Write FizzBuzz in Go.",
    "How do I exit vim?", "how do i undo my last git commit", "ModuleNotFoundError: No module named 'numpy'", "code a snake game please",
    "Generate a React component for a login form with validation.", "binary search algorithm", "how to reverse an array in c++ without extra memory",
    "write unit tests for a shopping cart class", "Can you write a script to rename all my photos by date?", "dockerize my node app",
    "```js\nconst total = items.reduce((a, b) => a + b.price);\n```\nwhy is this NaN?", "Why is my for loop slow in Python?",
    "Convert this to TypeScript: function add(a, b) { return a + b }", "what does segmentation fault mean", "Build me a simple REST API with Flask.",
    "css grid with three columns", "Show me how to read a file line by line in Ruby.", "design a database schema for a library",
]  # fmt: skip
TEXTS = [
    "Write an essay about the causes of the First World War.",
    "Translate 'good morning, how are you?' into Italian.", "can you proofread my essay",
    "Write a resignation letter to my manager, polite and short.", "linkedin post about my new job", "Summarize War and Peace in three sentences.",
    "Summarise the plot of Hamlet", "draft an email asking my landlord to repair the heating", "write a limerick about a man from Leeds",
    "rewrite in a friendlier tone: send me the report now", "give me 5 titles for a blog about cats",
    "Write a cover letter for a junior data analyst position.", "I need a toast for my sister's wedding", "write lyrics for a country song",
    "Please shorten this paragraph: The committee met on Tuesday to discuss the new budget, which had been delayed by several weeks.",
    "tweet about climate change", "What's a good synonym for important?", "write a dialogue between a cat and a dog",
]  # fmt: skip
KNOWLEDGE = [
     "explain general relativity like i'm five", "How do vaccines work?",
     "who won the world cup in 2018", "Who was Napoleon?", "who is elon musk", "How far away is the moon?",
    "when did the berlin wall fall", "What causes thunder?", "Why do cats purr?", "how do airplanes fly",
    "what's the difference between a virus and a bacterium?", "Is a tomato a fruit?", "how tall is mount everest", "What is the GDP of Brazil?",
    "who painted the mona lisa", "What is the speed of light?", "Describe how a bill becomes law.", "what are black holes made of",
    "Do fish sleep?", "What does AI stand for?", "how many people live in Tokyo", "What is an LLM?", "how do large language models work",
    "Are we alone in the universe?", "Who is the current president of the United States?", "what year did titanic sink",
]  # fmt: skip
EVERYDAY = [
    "What's the weather like?", "will it rain tomorrow", "what's the time", "what's today's date?", "any news today?", "stock market today",
    "how do I make pancakes", "what can i cook with eggs and spinach", "Plan a 3-day trip to Rome for two people.",
    "things to do in berlin", "Help me plan a birthday party for my 6 year old.", "i can't sleep, any tips?", "How can I save money?",
    "best laptop under 1000 euros", "recommend me a movie", "What book should I read next?", "I'm bored", "i am feeling down today",
    "Should I buy or rent?", "how to tie a tie", "Which car should I get for a family of five?",
    "What is 17% of 2,350?", "integral of x squared", "convert 72 fahrenheit to celsius",
    "If I have 3 apples and eat one and buy 12 more, how many do I have left over for 4 friends?", "Can you draw a picture of a horse?",
    "generate an image of a sunset", "let's play chess", "You are a travel agent. Where should I go in March?", "help me study for my biology exam",
    "what do you think about politics", "Can you search the internet?", "how do I get rid of ants in my kitchen", "is it safe to eat raw eggs",
]  # fmt: skip
QUESTIONS = [*CODE, *TEXTS, *KNOWLEDGE, *EVERYDAY]
