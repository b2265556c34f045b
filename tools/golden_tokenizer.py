#!/usr/bin/env python3
"""Writes tests/data/tokenizer: small tokenizers of every kind and what the reference makes of texts.

    pip install tokenizers sentencepiece
    python tools/golden_tokenizer.py [NAME…]

Each NAME.json is a tokenizer.json, each NAME.cases.json a list of cases
{"hex": bytes of the text, "ids", "special_ids", "text", "skipped_text"}: ids without and with special
tokens, the text of special_ids with and without special tokens.
"""

import base64
import json
import pathlib
import random
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tokenizer"
CASES = 64
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "The quick brown fox jumps over the lazy dog. It's 12345.67 o'clock, isn't it? I'LL WE'VE he'd",
    "Привет, мир! Как дела? Ёжик", "こんにちは世界。テストです、カタカナー。", "你好，世界！今天天气很好。",
    "안녕하세요 세계 각", "مرحبا بالعالم، كيف حالك؟ ١٢٣٤", "שלום עולם", "नमस्ते दुनिया १२३",
    "สวัสดีชาวโลก", "Γειά σου Κόσμε ΑΣΣ ς", "Chào thế giới, tiếng Việt", "İstanbul ÇĞış œuvre Straße ẞ",
    "👋🏽 hello 👨‍👩‍👧‍👦 🇩🇪 ❤️ 🤷🏻‍♀️", "def f(x):\n    return x**2 + 1  # note\n\n\tif x != y:\n\t\tpass\r\n",
    "for(int i=0;i<10;++i) printf(\"%d\\n\",i);", "<b class=\"a\">&nbsp;</b> https://example.com/?q=1#f",
    "e\u0301 a\u0308\u0323 ﬁ ㍻ Å ½ ² ① \u1100\u1161\u11a8", "\u200b\ufeff\u00ad a\u2028b\x85c\u3000d\u180e",
    "x\x00y\x01\x1f\x7f", "∑∫√ ∞ → Ⅷ ൨", "𝔘𝔫𝔦 𠀀 𐍈 𞤀", "   leading and trailing   ",
    "a  b   c    d\n\n\n e\t\tf \n g", "...!!!???---", "'s 'LL 'ſ 'K don't DON'T", "1 12 123 1234 1,234.56",
    "▁hello ▁▁ wor▁ld Ġx <0x41> ##ing </w>", "<s> hello </s> <unk>x<mask> y <mask>z [MASK] <|end|>user\n",
    "the theme The the", "a" * 70, " " * 40 + "x", "word " * 20, ""]


def corpus():
    return TEXTS * 20


def trained(model, trainer, pre_tokenizer, texts=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts or corpus(), trainer)
    tokenizer.pre_tokenizer = None
    return tokenizer


def byte_level_bpe(size=520, **options):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made = trained(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=False))
    data = json.loads(made.to_str())["model"]
    return Tokenizer(models.BPE(vocab=data["vocab"], merges=[tuple(m) for m in data["merges"]], **options))


def sentencepiece_bpe(**options):
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=special, limit_alphabet=160,
                                  show_progress=False)
    made = trained(models.BPE(unk_token="<unk>"), trainer, pre_tokenizers.Metaspace())
    data = json.loads(made.to_str())["model"]
    tokenizer = Tokenizer(models.BPE(vocab=data["vocab"], merges=[tuple(m) for m in data["merges"]],
                                     unk_token="<unk>", **options))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special[:3]])
    return tokenizer


def unigram(byte_fallback=False):
    special = ["<unk>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    trainer = trainers.UnigramTrainer(vocab_size=700 + len(special), special_tokens=special,
                                      unk_token="<unk>", show_progress=False)
    latin = [t for t in TEXTS if all(ord(c) < 0x500 for c in t)] * 20
    made = trained(models.Unigram(), trainer, pre_tokenizers.Metaspace(), latin)
    data = json.loads(made.to_str())["model"]
    return Tokenizer(models.Unigram([tuple(p) for p in data["vocab"]], data["unk_id"], byte_fallback))


def charsmap():
    """A small character map, made by the SentencePiece trainer from rules of code points."""
    rules = ["41\t61", "2460\t31", "FB01\t66 69", "65 301\tE9", "200B\t", "3000\t20", "33BB\t5E73 6210",
             "FF21\t41", "AD\t", "9\t20", "A\t20"]
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder) / "rules.tsv"
        tsv.write_text("\n".join(rules) + "\n")
        text = pathlib.Path(folder) / "text.txt"
        text.write_text("\n".join(t.replace("\n", " ").replace("\0", "") for t in TEXTS if t.isascii()) + "\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(pathlib.Path(folder) / "m"), vocab_size=120,
            normalization_rule_tsv=str(tsv), hard_vocab_limit=False, minloglevel=2)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString((pathlib.Path(folder) / "m.model").read_bytes())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def template(tokenizer, single, tokens):
    ids = [(t, tokenizer.token_to_id(t)) for t in tokens]
    return processors.TemplateProcessing(single=single, pair="$A $B", special_tokens=ids)


def llama_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def tokenizers():
    P, N, D = pre_tokenizers, normalizers, decoders

    t = byte_level_bpe()
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=False), D.ByteLevel()
    t.add_special_tokens(["<|end|>"])
    yield "gpt2", t

    t = byte_level_bpe(unk_token="<unk>")
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=True), D.ByteLevel()
    t.add_special_tokens(["<s>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")),
                                                    ("<s>", t.token_to_id("<s>")))
    yield "roberta", t

    for name, pattern, options in (("llama3", LLAMA3, {"ignore_merges": True}),
                                   ("qwen", LLAMA3.replace("{1,3}", ""), {}), ("o200k", O200K, {})):
        t = byte_level_bpe(**options)
        t.pre_tokenizer = P.Sequence([P.Split(Regex(pattern), "isolated"),
                                      P.ByteLevel(add_prefix_space=False, use_regex=False)])
        t.decoder = D.ByteLevel()
        t.add_special_tokens(["<s>", "<|end|>"])
        if name == "qwen":
            t.normalizer = N.NFC()
        if name == "llama3":
            t.post_processor = processors.Sequence([
                processors.ByteLevel(trim_offsets=False), template(t, "<s> $A", ["<s>"])])
        yield name, t

    t = byte_level_bpe()
    t.pre_tokenizer = P.Sequence([
        P.Split(Regex(r"\p{N}{1,3}"), "isolated"), P.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        P.Split(Regex(DEEPSEEK), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = D.ByteLevel()
    yield "deepseek", t

    t = byte_level_bpe()
    t.pre_tokenizer = P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False),
                                  P.Digits(False), P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    t.decoder = D.ByteLevel()
    yield "falcon", t

    t = sentencepiece_bpe(fuse_unk=True, byte_fallback=True)
    t.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    t.decoder = llama_decoder()
    t.post_processor = template(t, "<s> $A", ["<s>"])
    yield "llama2", t

    t = sentencepiece_bpe(byte_fallback=True)
    t.pre_tokenizer = P.Metaspace(prepend_scheme="first", split=False)
    t.decoder = llama_decoder()
    t.post_processor = template(t, "<s> $A </s>", ["<s>", "</s>"])
    yield "mistral", t

    t = sentencepiece_bpe(fuse_unk=False, byte_fallback=True)
    t.normalizer = N.Replace(" ", "▁")
    t.pre_tokenizer = P.Split(" ", "merged_with_previous")
    t.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()])
    yield "gemma", t

    t = sentencepiece_bpe(fuse_unk=True)
    t.pre_tokenizer, t.decoder = P.Metaspace(prepend_scheme="always"), D.Metaspace()
    yield "metaspace_unk", t

    t = unigram()
    data = json.loads(t.to_str())
    data["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": charsmap()},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    t = Tokenizer.from_str(json.dumps(data))
    t.pre_tokenizer, t.decoder = P.Metaspace(prepend_scheme="first"), D.Metaspace()
    yield "unigram_precompiled", t

    t = unigram(byte_fallback=True)
    t.normalizer = N.Sequence([N.Nmt(), N.NFKC(), N.Lowercase(), N.Strip()])
    t.pre_tokenizer = P.Sequence([P.UnicodeScripts(), P.Metaspace()])
    t.decoder = D.Sequence([D.ByteFallback(), D.Metaspace()])
    yield "unigram_bytes", t

    trainer = trainers.WordPieceTrainer(vocab_size=600, limit_alphabet=250, show_progress=False,
                                        special_tokens=["[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t = trained(models.WordPiece(unk_token="[UNK]"), trainer, P.BertPreTokenizer())
    t.normalizer, t.pre_tokenizer = N.BertNormalizer(), P.BertPreTokenizer()
    t.decoder = D.WordPiece()
    t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    yield "bert", t

    trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    t = trained(models.WordLevel(unk_token="[UNK]"), trainer, P.Whitespace())
    t.normalizer, t.pre_tokenizer = N.Sequence([N.NFD(), N.StripAccents()]), P.Whitespace()
    yield "word_level", t

    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"], limit_alphabet=220,
                                  end_of_word_suffix="</w>", show_progress=False)
    t = trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainer, P.WhitespaceSplit())
    t.normalizer = N.Sequence([N.NFKD(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    t.pre_tokenizer = P.Sequence([P.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                                  P.CharDelimiterSplit("x"), P.Digits(True)])
    t.decoder = D.BPEDecoder()
    yield "clip", t

    t = byte_level_bpe()
    t.normalizer = N.Lowercase()
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=False), D.ByteLevel()
    t.add_tokens([AddedToken("the", single_word=True), AddedToken("WORD", lstrip=True, rstrip=True),
                  AddedToken("ing", normalized=False), AddedToken("hello", rstrip=True, special=True),
                  AddedToken("<mask>", lstrip=True, rstrip=True, special=True),
                  AddedToken("世界"), AddedToken("Ё", normalized=False, single_word=True)])
    yield "added_tokens", t

    t = sentencepiece_bpe(byte_fallback=True)
    t.normalizer = N.Sequence([N.Strip(), N.Replace("the", ""), N.Replace("", "▁"),
                               N.Replace(Regex("^|(?=[aeiou])"), "e")])
    t.pre_tokenizer, t.decoder = P.Whitespace(), D.BPEDecoder(suffix="")
    yield "empty_patterns", t


def case_of(tokenizer, data):
    text = data.decode("utf-8", "replace")
    special = tokenizer.encode(text).ids
    return {"hex": data.hex(), "ids": tokenizer.encode(text, add_special_tokens=False).ids,
            "special_ids": special, "text": tokenizer.decode(special, skip_special_tokens=False),
            "skipped_text": tokenizer.decode(special)}


def texts(rng):
    """The fixed texts, then mixtures of them; every fourth mixture is broken UTF-8."""
    out = [t.encode() for t in TEXTS]
    while len(out) < CASES:
        parts = []
        for _ in range(rng.randint(1, 4)):
            t = rng.choice(TEXTS)
            begin = rng.randint(0, len(t))
            parts.append(t[begin:begin + rng.randint(1, 25)])
        data = bytearray("".join(parts).encode())
        if len(out) % 4 == 0 and data:
            data[rng.randrange(len(data))] = rng.randrange(128, 256)
            del data[rng.randrange(len(data))]
        out.append(bytes(data))
    return out


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]  # names, or none for all
    for name, tokenizer in tokenizers():
        if wanted and name not in wanted:
            continue
        rng = random.Random(name)
        (OUT / f"{name}.json").write_text(tokenizer.to_str() + "\n")
        cases = [json.dumps(case_of(tokenizer, t), ensure_ascii=False) for t in texts(rng)]
        (OUT / f"{name}.cases.json").write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
