"""A small grammar of stories: a hero, a place, a wish, a trouble, a helper and an end."""

HEROES = """cat|dog|fox|bear|mouse|rabbit|owl|sparrow|horse|duck|hedgehog|squirrel|frog|turtle|whale|wolf|lion
crow|goose|donkey|robot|dragon|king|queen|princess|knight|pirate|sailor|fisherman|farmer|baker|tailor|teacher
painter|musician|gardener|shepherd|miller|boy|girl|giant|wizard|witch|ghost|snowman|boat|train|lantern|clock
cloud|star|tree|kite|teapot|violin|elephant|tiger|bee|snail|monkey|penguin|computer|astronaut|doctor|child"""
HEROES = HEROES.replace("\n", "|").split("|")

PLACES = {
    "sea": ("by the sea", "the waves", "a small blue boat", "a great storm came over the water"),
    "ocean": ("near the wide ocean", "the waves", "a raft of old wood", "a thick fog lay on the water"),
    "forest": ("in a deep forest", "the tall trees", "a path of moss", "night fell and the path was gone"),
    "mountain": ("at the foot of a mountain", "the white peaks", "a narrow trail", "snow closed the pass"),
    "village": ("in a quiet village", "the red roofs", "the old market", "the bridge over the stream broke"),
    "city": ("in a large city", "the bright windows", "a long street", "all the lights went out"),
    "garden": ("in a garden full of roses", "the flower beds", "a green gate", "the well ran dry"),
    "river": ("beside a slow river", "the silver water", "a wooden bridge", "the water rose over the banks"),
    "island": ("on a lonely island", "the yellow sand", "a hollow palm tree", "the only boat drifted away"),
    "desert": ("at the edge of a desert", "the golden dunes", "a stony road", "a wind of sand hid the sun"),
    "castle": ("in an old castle", "the high towers", "a winding stair", "the great gate would not open"),
    "lighthouse": ("in a lighthouse", "the rocks below", "a hundred steps", "the lamp went out in the night"),
    "farm": ("on a small farm", "the wide fields", "the barn", "the winter corn was nearly gone"),
    "lake": ("by a round lake", "the still water", "a path of reeds", "the ice on the lake cracked"),
    "moon": ("in a house from which one could see the moon", "the moonlight", "a ladder of silver thread", "a dark cloud covered the moon"),
    "winter": ("where the winter was long", "the deep snow", "a frozen path", "the fire in the stove went out"),
    "rain": ("in a land where it often rained", "the wet streets", "a row of puddles", "the rain did not stop for a week"),
    "night": ("at the end of a dark lane", "the stars", "a row of lamps", "the last candle burned down"),
    "school": ("near a little school", "the playground", "a long corridor", "the old bell was lost"),
    "space": ("on a small planet", "the far stars", "a road of light", "the engine of the ship fell silent"),
}

NAMES = """Ada|Ben|Clara|David|Emma|Felix|Greta|Hugo|Ida|Jonas|Klara|Leo|Mara|Nils|Olga|Paul|Rosa|Simon|Tilda|Viktor
Anna|Bruno|Cora|Dora|Emil|Fanny|Georg|Hanna|Ivan|Julia|Karl|Lena|Max|Nora|Oscar|Pia|Robin|Sara|Tom|Vera"""
NAMES = NAMES.replace("\n", "|").split("|")

ADJECTIVES = "small|brave|shy|old|young|clever|quiet|curious|lonely|merry|gentle|tired|patient|proud".split("|")

OPEN = (
    "Once there was a {adj} {hero} named {name}, who lived {place}.",
    "A long time ago, a {adj} {hero} called {name} lived {place}.",
    "There was once a {adj} {hero} {place}. The name of the {hero} was {name}.",
    "{name} was a {adj} {hero} who lived {place}.",
)
WISH = (
    "Every day {name} looked at {view} and wished for a friend.",
    "{name} loved {view} and wanted to know what lay beyond.",
    "More than anything, {name} wanted to find the place where the songs come from.",
    "{name} had only one wish: to see the world behind {view}.",
    "In the evening {name} sat still, looked at {view} and dreamed of a long journey.",
    "{name} was looking for a lost golden key and searched near {view} every day.",
)
SET_OUT = (
    "One morning {name} packed some bread and followed {way}.",
    "One day {name} found {way} and went on without looking back.",
    "So {name} said goodbye to everyone and set out along {way}.",
    "On the first day of spring, {name} came to {way} and went on with a glad heart.",
)
TROUBLE = (
    "But then {trouble}, and {name} was afraid.",
    "Before evening {trouble}. {name} did not know what to do.",
    "Suddenly {trouble}, and everything was different.",
)
HELP = (
    "Then an old {helper} came and said, \"Do not be afraid. I know the way.\"",
    "Just then a {helper} called, \"Come with me, we will do it together!\"",
    "A {helper} saw this, shared its supper with {name} and stayed all night.",
    "\"I can help you,\" said a {helper}, \"if you tell me a story.\" So {name} told a story.",
)
SOLVED = (
    "Together they waited until morning, and all was well again.",
    "They worked all night, and when the sun rose the trouble was over.",
    "Step by step they found the way home.",
    "They laughed so loudly that the fear went away, and with the fear the trouble went too.",
)
CLOSE = (
    "From that day on, {name} and the {helper} were friends.",
    "{name} never forgot the {helper}, and the {helper} never forgot {name}.",
    "And {name} learned that nobody is too small to help.",
    "Since then, {name} keeps a light in the window for everyone who is lost.",
    "And if you go there today, you can still hear {name} and the {helper} sing.",
)

ASK_ABOUT = (
    "Tell me a story about {topic}.", "Tell me a short story about {topic}.", "Write a story about {topic}.",
    "Can you tell a story about {topic}?", "I would like to hear a story about {topic}.", "A story about {topic}, please.",
    "Please write a short story about {topic}.", "Write me a little tale about {topic}.", "Do you know a story about {topic}?",
    "story about {topic}", "Make up a story about {topic}.", "Could you tell me something about {topic} in a story?",
    "Tell a tale of {topic}.", "Give me a bedtime story about {topic}.", "Invent a short story with {topic}.",
)
ASK_ANY = (
    "Tell me a story.", "Tell me a short story.", "Write a story.", "Can you tell me a story?", "I want to hear a story.",
    "A story, please.", "Write something.", "Tell me something nice.", "Please tell me a bedtime story.", "Do you know a story?",
    "Make up a story.", "Entertain me.", "I am bored.", "Another story, please.", "Tell me another story.", "Write a short tale.",
)


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def story(rng, hero=None, place=None):
    hero = hero or rng.choice(HEROES)
    where, view, way, trouble = PLACES[place or rng.choice(list(PLACES))]
    helper = rng.choice([h for h in HEROES[:20] if h != hero])
    words = {
        "hero": hero,
        "name": rng.choice(NAMES),
        "adj": rng.choice(ADJECTIVES),
        "place": where,
        "view": view,
        "way": way,
        "trouble": trouble,
        "helper": helper,
    }
    parts = [OPEN, WISH, SET_OUT, TROUBLE, HELP, SOLVED, CLOSE]
    text = " ".join(rng.choice(part) for part in parts).format(**words)
    return fix_articles(text)


def fix_articles(text):
    for vowel in "aeiou":
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text


def story_question(rng):
    """A question and its story: about a hero, a place, both, or nothing in particular."""
    kind = rng.random()
    hero = rng.choice(HEROES) if kind < 0.6 else None
    place = rng.choice(list(PLACES)) if 0.45 < kind < 0.85 else None
    if not hero and not place:
        return rng.choice(ASK_ANY), story(rng)
    thing = place if place in ("winter", "rain", "space") else f"the {place}"
    if hero and place:
        topic = f"{article(hero)} and {thing}"
    else:
        topic = article(hero) if hero else thing
    return rng.choice(ASK_ABOUT).format(topic=topic), story(rng, hero, place)
