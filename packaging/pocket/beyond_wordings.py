"""The words in which people ask for what so small a model cannot do; ``beyond`` fills them in."""

# pyright: strict
# ruff: noqa: SIM905 - a table of words is read, and changed, as text.
# ruff: noqa: E501 - so are wordings.
# ruff: noqa: RUF001 - and other alphabets.


def _table(text: str) -> list[str]:
    return [each.replace("|", " ") for each in text.split()]


LANGUAGES = """Python JavaScript TypeScript Java C C++ C# Go Rust Ruby PHP Swift Kotlin SQL bash HTML CSS
R Perl Lua Haskell Scala MATLAB React Vue Django Flask Arduino PowerShell Excel VBA assembly Node.js
python javascript java c++ html css sql rust react""".split()
TONGUES = """French German Spanish Italian Japanese Chinese Polish Dutch Swedish Greek Turkish Russian
Arabic Korean Portuguese English Latin Hindi Finnish Danish""".split()
# What is asked for, and what of: each with each.
MAKES = _table("""write write write make create generate build code implement draft compose design prepare
give|me send|me show|me produce develop program craft help|me|write help|me|with help|me|make
write|me make|me i|need i|want get|me think|of come|up|with suggest finish improve edit plan""")
WORKS = _table("""function script program class app website game bot page test module query macro loop regex
snippet parser sorter calculator api server client algorithm database table plugin component
essay poem song haiku letter mail email blog|post article report speech summary outline resume cv
cover|letter review tweet caption headline slogan sonnet novel chapter dialogue play|script biography
recipe diet meal|plan workout|plan travel|plan itinerary schedule budget business|plan to-do|list
quiz lesson|plan homework presentation exam|question study|guide translation name|for|my|company
regular|expression spreadsheet|formula dockerfile makefile config|file readme commit|message
birthday|card wedding|speech apology complaint product|description press|release logo drawing picture
youtube|script podcast|intro riddle rap crossword sudoku chess|game text|adventure legal|contract
""")
DOING = _table("""sort|a|list reverse|a|string parse|a|file read|a|csv download|a|page find|primes add|numbers
check|a|password validate|an|email connect|to|a|database draw|a|chart count|words merge|two|lists
scrape|a|website sum|a|column rename|files resize|an|image print|a|table send|mail open|a|window
compute|fibonacci solve|a|maze remove|duplicates flatten|a|list find|the|largest|number log|in|users
play|a|sound store|data call|an|api convert|temperatures|to|celsius format|dates swap|two|values
""")
OF_WHAT = [
        "", "", " that {doing_s}", " to {doing}", " about {topic}", " about {topic}", " for {topic}", " for {name}",
        " in {language}", " on {topic}", " with {thing}", " which can {doing}", " that {verb}s a {noun}", " called {thing}",
]  # fmt: skip
EXPLAINED = _table("""quantum|physics relativity photosynthesis gravity evolution blockchain inflation recursion
the|stock|market black|holes machine|learning neural|networks climate|change the|french|revolution
world|war|two the|roman|empire democracy capitalism philosophy stoicism dna vaccines electricity
magnetism the|internet how|computers|work how|engines|work pointers async/await object|oriented|programming
git docker kubernetes linux the|big|bang dark|matter entropy the|water|cycle taxes mortgages insurance
the|immune|system the|heart sleep dreams love happiness the|meaning|of|life free|will consciousness
""")

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
    "{number} + {number}", "What is {number} + {number}?", "{number}+{number}", "{number} plus {number}",
    "{number} + {digit}", "What is {digit} + {number}?", "{digit} times {number}",
    "{number} - {number}", "What is {number} minus {number}?", "what's {number} + {number} + {digit}",
    "{number} + {number} = ?", "How much is {number} + {number}?", "Calculate {number} + {number}.",
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
POLITE = [
    "Please {}", "please {}", "Hi, {}", "hey {}", "Hello! {}", "ok {}", "So {}", "quick, {}", "now {}", "Question: {}",
]  # fmt: skip
BEFORE = [
    *POLITE, "Can you {}", "can you {}", "Could you {}", "could you please {}", "I need you to {}", "I want you to {}",
    "Would you {}", "hi can you {}", "i need help: {}", "You are an expert. {}", "Think step by step. {}",
]  # fmt: skip
THANKS = [" please", " Please.", " Thanks!", " thanks", " pls", ", please"]
BEHIND = [
    *THANKS, " in {tongue}", " Keep it short.", " with an example",
    " for beginners", " step by step", " Explain your answer.", " in {language}", " for my {noun}", " asap",
    " in 200 words", " with comments", " for my class", " I have to hand it in tomorrow.", " Be creative.",
]  # fmt: skip
# Who serves a model to a program says such things of it.
PARTS = [
    "You are an expert {language} programmer.", "You are a coding assistant.", "You are a helpful writer.",
    "You are a translator. Answer in {tongue}.", "You are a friendly assistant who knows everything.",
    "Answer as shortly as you can.", "You are an AI programming assistant. Follow the user's requirements carefully.",
    "You help people with {topic}.", "Use Markdown.", "Always answer in {tongue}.", "You are a {adjective} {noun} bot.",
]  # fmt: skip
NAMED = [
    "You are {name}, a {adjective} {role}.", "Your name is {name}. You are a {adjective} {role}.",
    "Act as {name}, a {adjective} {role}.", "You are {name}.", "Your name is {name}.", "You are {name}, a {role}.",
    "You are {name}, an assistant who helps people with {noun}s. Be polite.", "Your name is {name}. Be brief.",
]  # fmt: skip
