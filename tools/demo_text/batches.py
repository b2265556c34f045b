"""From documents to training rows: the tokenizer and the packing."""

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

PROSE_WEIGHT = 0.25
# Token ids from here on are late merges of the tokenizer: rare words and names.
RARE = 700

# The chat format in Jinja; encode_document below must give the same tokens.
CHAT_TEMPLATE = (
    "{%- for message in messages %}\n"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n"
)

# Words keep their leading space, digits stand alone, punctuation and line ends form runs.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train_tokenizer(texts, vocab_size):
    """Byte-level BPE in the manner of Qwen, with the three special tokens first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(t, special=True) for t in (END_OF_TEXT, START, END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode_document(tokenizer, document):
    """Token ids and the loss weight of each: nothing for what the user writes, 1 for answers, and
    more for an answer's beginning: there the model must have understood the question, while the
    rest mostly follows from the beginning. In a short answer every token decides, as in the name
    of a capital. Prose counts little; it would drown the answers."""
    if isinstance(document, str):
        ids = tokenizer.encode(document).ids + [tokenizer.token_to_id(END_OF_TEXT)]
        return ids, [PROSE_WEIGHT] * len(ids)
    ids, weights = [], []
    for role, text in document:
        head = tokenizer.encode(f"{START}{role}\n").ids
        body = tokenizer.encode(f"{text}{END}").ids
        line_end = tokenizer.encode("\n").ids
        ids += head + body + line_end
        least = 4.0 if len(body) < 16 else 1.0
        answer = [max(least, 6.0 - i) if role == "assistant" else 0.0 for i in range(len(body))]
        for i, token in enumerate(body if role == "assistant" else ()):
            # A rare token that stood before, such as a name, must be found again, not guessed.
            if token >= RARE and (token in ids or token in body[:i]):
                answer[i] = max(answer[i], 4.0)
        weights += [0.0] * len(head) + answer + [0.0] * len(line_end)
    return ids, weights


def plain_text(document):
    return document if isinstance(document, str) else "\n".join(f"{r}\n{t}" for r, t in document)


class Packer:
    """Fills rows of length + 1 tokens with whole documents (first fit over a pool of open rows).

    Documents in a row do not see each other: `segments` numbers them, and padding is segment -1.
    """

    def __init__(self, length, pad):
        self.length, self.pad = length + 1, pad
        self.open = []

    def add(self, ids, weights):
        ids, weights = ids[: self.length], weights[: self.length]
        for row in self.open:
            if row[0] + len(ids) <= self.length:
                break
        else:
            row = [0, []]
            self.open.append(row)
        row[0] += len(ids)
        row[1].append((ids, weights))

    def rows(self, encoded, count):
        """`count` rows as arrays tokens, segments, weights, drawing from the iterator as needed."""
        while len(self.open) < 3 * count:
            self.add(*next(encoded))
        self.open.sort(key=lambda row: -row[0])
        full, self.open = self.open[:count], self.open[count:]
        return self.arrays(full)

    def pack_all(self, encoded):
        """All of these documents as arrays."""
        for ids, weights in encoded:
            self.add(ids, weights)
        return self.arrays(self.open)

    def arrays(self, rows):
        tokens = np.full((len(rows), self.length), self.pad, np.int64)
        segments = np.full((len(rows), self.length), -1, np.int64)
        weights = np.zeros((len(rows), self.length), np.float32)
        for r, (_, documents) in enumerate(rows):
            at = 0
            for number, (ids, weight) in enumerate(documents):
                span = slice(at, at + len(ids))
                tokens[r, span], segments[r, span], weights[r, span] = ids, number, weight
                # The first token of a document cannot be predicted from another document.
                weights[r, at] = 0.0
                at += len(ids)
        return tokens, segments, weights
