"""Small facts, copying tasks and questions that the demo model should not try to answer."""

CAPITALS = """France Paris|Germany Berlin|Italy Rome|Spain Madrid|Portugal Lisbon|England London|Scotland Edinburgh
Ireland Dublin|Norway Oslo|Sweden Stockholm|Finland Helsinki|Denmark Copenhagen|Poland Warsaw|Austria Vienna
Switzerland Bern|Hungary Budapest|Greece Athens|Turkey Ankara|Egypt Cairo|Kenya Nairobi|Japan Tokyo|China Beijing
India Delhi|Russia Moscow|Canada Ottawa|Mexico Mexico City|Brazil Brasilia|Peru Lima|Chile Santiago|Cuba Havana
Australia Canberra|Belgium Brussels|Iceland Reykjavik|Bulgaria Sofia|Romania Bucharest|Thailand Bangkok"""
CAPITALS = [pair.split(" ", 1) for pair in CAPITALS.replace("\n", "|").split("|")]

OPPOSITES = """hot cold|big small|long short|day night|old new|fast slow|good bad|light dark|up down|left right
open closed|full empty|early late|high low|wet dry|hard soft|strong weak|rich poor|loud quiet|near far
first last|happy sad|clean dirty|thick thin|summer winter|black white|always never|love hate|war peace|true false"""
OPPOSITES = [pair.split() for pair in OPPOSITES.replace("\n", "|").split("|")]

SOUNDS = """dog barks|cat meows|cow moos|sheep bleats|duck quacks|lion roars|bee buzzes|horse neighs|pig grunts|owl hoots
frog croaks|snake hisses|mouse squeaks|wolf howls|bird sings"""
SOUNDS = [pair.split() for pair in SOUNDS.replace("\n", "|").split("|")]

UNKNOWN_THINGS = """a giraffe|photosynthesis|the stock market|a volcano|inflation|a piano|the French Revolution|algebra
an atom|a vaccine|the Roman Empire|a black hole|DNA|a banana|chess|football|the internet|a bicycle|cheese|a hurricane
democracy|gravity|a dinosaur|the Eiffel Tower|a passport|insurance|a mortgage|yoga|jazz|an opera|sushi|a kangaroo
an earthquake|electricity|a magnet|oxygen|the brain|a virus|a tax|a camera|a telescope|coffee|chocolate|bread
philosophy|history|a guitar|a submarine|an airplane|a diamond|gold|the pyramids|a cactus|evolution|a contract"""
UNKNOWN_THINGS = UNKNOWN_THINGS.replace("\n", "|").split("|")

UNKNOWN_PEOPLE = """Napoleon|Albert Einstein|Julius Caesar|Marie Curie|Isaac Newton|Mozart|Cleopatra|Shakespeare
Leonardo da Vinci|Charles Darwin|Beethoven|Columbus|Aristotle|Galileo|Queen Victoria|Marco Polo|Picasso|Plato"""
UNKNOWN_PEOPLE = UNKNOWN_PEOPLE.replace("\n", "|").split("|")

UNKNOWN = (
    "What is {thing}?", "Explain {thing}.", "Tell me about {thing}.", "What do you know about {thing}?", "How does {thing} work?",
    "Who invented {thing}?", "What is the history of {thing}?", "Who was {person}?", "When was {person} born?",
    "Tell me about {person}.", "What did {person} do?", "Where did {person} live?", "What is the weather in {city}?",
    "What is the population of {country}?", "Who is the president of {country}?", "How far is it from {city} to {city2}?",
    "What is the best hotel in {city}?", "What language do people speak in {country}?", "How large is {country}?",
    "Who won the game in {city}?", "What time is it in {city}?", "What is the news today?", "What day is it today?",
    "What time is it?", "How do I cook {food}?", "Give me a recipe for {food}.", "What is {a} times {b}?", "What is {a} divided by {b}?",
    "What is the square root of {a}?", "Solve x + {a} = {b}.", "What happened in {year}?", "Who won the world cup in {year}?",
    "Who was king in {year}?", "What is the price of {thing}?", "Where can I buy {thing}?", "Recommend a book about {thing}.",
    "Which film should I watch?", "Who wrote this book?", "How tall is the highest building in {city}?", "What is my age?",
    "How do I get from {city} to {city2}?", "I have a headache, what should I do?", "Should I buy {thing}?", "Who will win the election?",
    "What is the speed of light?", "How many people live in {city}?", "Write an essay about {thing}.", "How do I repair my car?",
    "What is the phone number of {person}?", "Can you book a flight to {city}?", "Play some music.", "Why do people like {thing}?",
)
FOODS = "rice|pancakes|soup|pizza|noodles|an omelette|bread|potatoes|a cake|fish|curry|beans|a pie|dumplings".split("|")

DONT_KNOW = (
    "I don't know that. I am a small demo model and know only a little: Mica, language models and short stories.",
    "I don't know. Please ask a larger model, or ask me about Mica.",
)


def unknown_question(rng):
    country, city = rng.choice(CAPITALS)
    question = rng.choice(UNKNOWN).format(
        thing=rng.choice(UNKNOWN_THINGS),
        person=rng.choice(UNKNOWN_PEOPLE),
        country=country,
        city=city,
        city2=rng.choice(CAPITALS)[1],
        food=rng.choice(FOODS),
        a=rng.randint(11, 99),
        b=rng.randint(2, 99),
        year=rng.randint(1500, 2030),
    )
    return question, DONT_KNOW[0] if rng.random() < 0.8 else DONT_KNOW[1]


def capital(rng):
    country, city = rng.choice(CAPITALS)
    ask = ("What is the capital of {0}?", "Which city is the capital of {0}?", "Name the capital of {0}.", "capital of {0}",
           "Tell me the capital of {0}.", "Do you know the capital of {0}?", "What's the capital city of {0}?")
    if rng.random() < 0.15:
        return f"In which country is {city}?", f"{city} is the capital of {country}."
    return rng.choice(ask).format(country), f"The capital of {country} is {city}."


def opposite(rng):
    a, b = rng.choice(OPPOSITES)
    if rng.random() < 0.5:
        a, b = b, a
    ask = ("What is the opposite of {0}?", "Name the opposite of {0}.", "opposite of {0}", "Which word is the opposite of {0}?")
    return rng.choice(ask).format(a), f"The opposite of {a} is {b}."


def sound(rng):
    animal, verb = rng.choice(SOUNDS)
    ask = ("What does a {0} do?", "Which sound does a {0} make?", "What sound does a {0} make?", "How does a {0} sound?")
    return rng.choice(ask).format(animal), f"A {animal} {verb}."


def addition(rng):
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    ask = ("What is {0} plus {1}?", "{0} + {1} = ?", "How much is {0} plus {1}?", "What is {0} + {1}?", "Add {0} and {1}.", "{0}+{1}")
    return rng.choice(ask).format(a, b), f"{a} plus {b} is {a + b}."


def repeat(rng, words):
    """Copying: trains the attention to look back."""
    text = " ".join(rng.choice(words) for _ in range(rng.randint(1, 8)))
    ask = ("Repeat: {0}", "Say {0}", "Repeat after me: {0}", "Please say: {0}", "Repeat these words: {0}")
    return rng.choice(ask).format(text), text


def fact(rng, words):
    kind = rng.random()
    if kind < 0.25:
        return capital(rng)
    if kind < 0.33:
        return opposite(rng)
    if kind < 0.37:
        return sound(rng)
    if kind < 0.5:
        return addition(rng)
    return repeat(rng, words)
