"""Makes the training text: questions and answers, dialogues, stories and prose, all from a seed.

A document is a list of (role, text) messages, or a plain string of prose.
"""

import hashlib
import pathlib
import random
import struct
import zlib

from . import facts, stories

WHAT = (
    "What is {0}?", "What's {0}?", "what is {0}", "Explain {0}.", "Can you explain {0}?", "Tell me about {0}.", "Tell me what {0} is.",
    "Please explain {0}.", "Explain {0} to me.", "What do you know about {0}?", "I want to know what {0} is.", "Do you know what {0} is?",
    "{0}?", "{0}", "Describe {0}.", "Define {0}.", "What can you tell me about {0}?", "Could you tell me what {0} is?",
    "Explain {0} in simple words.", "What exactly is {0}?", "What is {0} good for?", "What is meant by {0}?", "Give me a short explanation of {0}.",
    "I have a question about {0}.", "Can you describe {0}?", "Please tell me about {0}.", "What does {0} mean?", "How would you explain {0}?",
)
HOW = (
    "How do I {0}?", "How can I {0}?", "How to {0}?", "how do i {0}", "how to {0}", "I want to {0}.", "I want to {0}. What do I do?", "How does one {0}?",
    "Tell me how to {0}.", "Show me how to {0}.", "Please tell me how to {0}.", "What is the way to {0}?", "How would I {0}?", "How should I {0}?",
    "What do I have to do to {0}?", "I would like to {0}.", "Can I {0}?", "Is it possible to {0}?", "Is there a way to {0}?", "Can you tell me how to {0}?",
    "What do I type to {0}?", "Explain how to {0}.", "I need to {0}.", "Help me {0}.", "What is the best way to {0}?", "How do you {0}?",
    "Which command do I use to {0}?", "What command lets me {0}?", "Can Mica {0}?", "How do I {0} with Mica?", "How can I {0} in Mica?",
)
PREFIX = ("Hi, ", "Hello, ", "Hey, ", "Please, ", "Quick question: ", "OK, ", "So, ", "Hello! ", "Hi! ", "One question: ", "Excuse me, ", "Well, ")
SUFFIX = (" Thanks!", " Please.", " Thank you.", " Keep it short.", " I am new here.")
FOLLOW = ("And ", "OK, and ", "Thanks. ", "Good. ", "I see. ", "And now: ", "Next question: ", "Also, ", "Then ", "Great. ")
SYSTEM = (
    "You are a helpful assistant.", "You are Mica's demo model.", "You are a friendly assistant. Answer briefly.", "Answer in a few sentences.",
    "You are a useful assistant.", "Be brief.", "You are a careful assistant who answers questions about Mica.", "Be polite and clear.",
)
KEEP_CASE = ("I ", "I'", "Mica", "MLX", "CUDA", "NVIDIA", "GPU", "CPU", "KV", "LLM")
MORE_NAMES = "Alice|Bob|Carol|Dan|Eve|Frank|Grace|Heidi|Igor|Judy|Kim|Linda|Mike|Nina|Otto|Peter|Quinn|Ruth|Steve|Uma|Wendy|Yara|Zoe|John|Mary|James|Maria|Lucy|Jack|Sophie"


def load_knowledge(path):
    """{topic: (questions, answers)}, the questions before any change of their surface."""
    topics, name = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line.strip("[]")
            topics[name] = ([], [])
            continue
        kind, rest = line.split(": ", 1)
        questions, answers = topics[name]
        if kind == "a":
            answers.append(rest)
            continue
        forms = {"what": WHAT, "how": HOW, "ask": ("{0}",)}[kind]
        # A question that stands for itself counts as much as a few forms of a thing or a deed.
        repeat = 6 if kind == "ask" else 1
        questions += [f.format(x) for x in rest.split(" | ") for f in forms for _ in range(repeat)]
    return topics


def is_held_out(question):
    """About one base question in 25 is never trained on; the evaluation asks these."""
    return hashlib.sha256(question.lower().encode()).digest()[0] < 10


def change_surface(rng, question):
    """What people do to a question: case, punctuation, greetings, small typing errors."""
    if rng.random() < 0.12:
        start = question if question.startswith(KEEP_CASE) else question[:1].lower() + question[1:]
        question = rng.choice(PREFIX) + start
    if rng.random() < 0.06 and question.endswith((".", "?")):
        question += rng.choice(SUFFIX)
    if rng.random() < 0.2:
        question = question.rstrip(".?!")
    if rng.random() < 0.15:
        question = question.lower()
    elif rng.random() < 0.3:
        question = question[:1].upper() + question[1:]
    if rng.random() < 0.05 and len(question) > 12:
        at = rng.randrange(3, len(question) - 3)
        question = question[:at] + question[at + 1] + question[at] + question[at + 2 :]
    return question


# What a newcomer asks first; drawn more often.
IMPORTANT = ("mica", "whoami", "whatcan", "commands", "start", "serve", "generate", "chat", "bench", "cpu", "formats", "hello", "pull", "quantization")


class Generator:
    def __init__(self, seed, prose=()):
        here = pathlib.Path(__file__).parent
        self.rng = random.Random(seed)
        self.topics = load_knowledge(here / "knowledge.txt")
        self.names = list(self.topics) + 2 * list(IMPORTANT)
        self.words = sorted({w.strip(".,:;") for _, a in self.topics.values() for t in a for w in t.split() if w.isascii()})
        self.people = stories.NAMES + MORE_NAMES.split("|")
        self.prose = list(prose)

    def known_question(self):
        """A trained question and its answer."""
        while True:
            questions, answers = self.topics[self.rng.choice(self.names)]
            question = self.rng.choice(questions)
            if not is_held_out(question):
                return change_surface(self.rng, question), self.rng.choice(answers)

    def held_out(self, count):
        """Questions that training never sees, with their answers."""
        rng = random.Random(7)
        pairs = {q: a[0] for qs, a in self.topics.values() if len(a) == 1 for q in qs if is_held_out(q)}
        return rng.sample(sorted(pairs.items()), count)

    def pair(self):
        kind = self.rng.random()
        if kind < 0.44:
            return self.known_question()
        if kind < 0.64:
            return stories.story_question(self.rng)
        if kind < 0.69:
            question, answer = facts.unknown_question(self.rng)
        else:
            question, answer = facts.fact(self.rng, self.words + 3 * self.people)
        return change_surface(self.rng, question), answer

    def introduction(self):
        """A user who says a name; the model must find it again later."""
        name = self.rng.choice(self.people)
        says = self.rng.choice(("My name is {0}.", "I am {0}.", "Hello, I am {0}.", "Hi, my name is {0}!", "You can call me {0}.", "I'm {0}"))
        asks = self.rng.choice(("What is my name?", "Who am I?", "Do you remember my name?", "Do you know my name?", "What's my name?"))
        first = [(says.format(name), f"Hello {name}! What would you like to know?")]
        return first, (asks, f"Your name is {name}.")

    def dialogue(self, turns):
        pairs, later = [], None
        kind = self.rng.random()
        if kind < 0.25:
            pairs, later = self.introduction()
        elif kind < 0.4:
            questions, answers = self.topics["hello"]
            pairs = [(self.rng.choice(questions), answers[0])]
        while len(pairs) < turns:
            question, answer = self.pair()
            if self.rng.random() < 0.3:
                question = self.rng.choice(FOLLOW) + question
            pairs.append((question, answer))
        if later:
            pairs.append(later)
        elif self.rng.random() < 0.1:
            pairs.append(("What is my name?", "I don't know your name. You have not told me."))
        elif self.rng.random() < 0.3:
            questions, answers = self.topics[self.rng.choice(("thanks", "bye"))]
            pairs.append((self.rng.choice(questions), answers[0]))
        return pairs

    def document(self, longest_dialogue=3):
        """One training document."""
        kind = self.rng.random()
        if self.prose and kind < 0.03:
            return self.rng.choice(self.prose)
        pairs = [self.pair()] if kind < 0.86 else self.dialogue(self.rng.randint(1, longest_dialogue))
        messages = [("system", self.rng.choice(SYSTEM))] if self.rng.random() < 0.2 else []
        for question, answer in pairs:
            messages += [("user", question), ("assistant", answer)]
        return messages


def read_austen(path):
    """Paragraphs of the novels in the Debian package r-cran-janeaustenr: an R lazy-load file of
    zlib streams, each the length (4 bytes, big-endian) and a serialized vector of lines."""
    data, at, paragraphs = path.read_bytes(), 0, []
    while at + 4 < len(data):
        stream = zlib.decompressobj()
        raw = stream.decompress(data[at + 4 :])
        at = len(data) - len(stream.unused_data)
        paragraphs += " \n".join(read_r_strings(raw)).split("\n \n")
    clean = (" ".join(p.replace("_", "").split()) for p in paragraphs)
    return [p for p in clean if len(p) > 200 and p.isascii()]


def read_r_strings(raw):
    """The lines of one serialized character vector (R serialization, version 3, big-endian)."""
    encoding = struct.unpack(">i", raw[14:18])[0]
    at = 18 + encoding
    flags, count = struct.unpack(">ii", raw[at : at + 8])
    if flags & 0xFF != 16:
        return []
    at += 8
    lines = []
    for _ in range(count):
        size = struct.unpack(">i", raw[at + 4 : at + 8])[0]
        at += 8
        lines.append(raw[at : at + max(size, 0)].decode("utf-8", "replace"))
        at += max(size, 0)
    return lines
