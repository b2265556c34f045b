#!/usr/bin/env python3
"""Trains Mica's demo model: text, tokenizer, training, export, quantization, evaluation.

    pip install numpy tokenizers mlx-lm
    apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb build/austen   # prose
    python tools/train_demo.py --work build/demo all

The stages can be run one by one (`tokenizer`, `train`, `export`, `eval`); all of them keep their
files in --work. `install` copies the result to models/demo and models/demo-bf16. Training is in
plain numpy (demo_text/model.py) and takes about an hour on one core. `--resume last.npz`
continues from earlier weights with a new schedule.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import time

if "train" in sys.argv or "all" in sys.argv:
    # One core unless told otherwise; must be set before numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from demo_text import batches, model
from demo_text.generator import Generator, read_austen
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROSE_IN_PACKAGE = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"

SAMPLES = (
    "hello",
    "What is Mica?",
    "How do I start the server?",
    "Which quantization formats can you read?",
    "What can you do?",
    "How do I run on the CPU?",
    "Tell me a short story about the sea.",
    "Tell me a story about a fox and the moon.",
    "what's a kv cache good for",
    "Why should weights be stored with 4 bits?",
    "I'd like to download some weights, how?",
    "What is the capital of Norway?",
    "What is the capital of Atlantis?",
    "Who was Napoleon?",
    "Write a Python program",
    "What is 3 plus 4?",
    "My graphics card is not detected",
    "bye",
)


def load_prose(path):
    """Paragraphs of prose in the public domain; none when the package is not unpacked."""
    for candidate in (path / PROSE_IN_PACKAGE, pathlib.Path("/") / PROSE_IN_PACKAGE):
        if candidate.is_file():
            return read_austen(candidate)
    print(f"[train_demo] no prose: expected {path / PROSE_IN_PACKAGE}; is the package unpacked?")
    return []


def split_prose(prose):
    """Training and held-out paragraphs."""
    return [p for i, p in enumerate(prose) if i % 50], prose[::50]


def make_tokenizer(args):
    prose, _ = split_prose(load_prose(args.prose))
    generator = Generator(args.seed + 1, prose)
    texts = [batches.plain_text(generator.document()) for _ in range(20000)] + prose[::10]
    tokenizer = batches.train_tokenizer(texts, model.CONFIG["vocab_size"])
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.work / "tokenizer.json"))
    ids = sum(len(tokenizer.encode(t).ids) for t in texts[:2000])
    print(f"tokenizer: {tokenizer.get_vocab_size()} tokens, {sum(map(len, texts[:2000])) / ids:.2f} characters a token")


def schedule(step, progress):
    """Warm-up, a plateau, and from half of the run a linear way down."""
    return min(1.0, (step + 1) / 10) * min(1.0, max(0.02, 2.0 * (1.0 - progress)))


def documents(tokenizer, generator, longest_dialogue, shorten):
    """Endless encoded documents. A share `shorten` of the single answers is cut after its beginning:
    answers are soon known by heart, and finding the right one is what takes practice."""
    while True:
        document = generator.document(longest_dialogue)
        ids, weights = batches.encode_document(tokenizer, document)
        answers = 1 if isinstance(document, str) else len(document) // 2
        if answers == 1 and not isinstance(document, str) and generator.rng.random() < shorten:
            begin = next(i for i, w in enumerate(weights) if w)
            end = begin + (12 if len(ids) - begin < 100 else 48)
            ids, weights = ids[:end], weights[:end]
        yield ids, weights


def validation(weights, tokenizer, prose):
    """Mean loss on answers to questions that training never asked, on the first eight tokens of
    these answers, which show whether the question was understood, and on held-out prose."""
    pad = tokenizer.token_to_id(batches.END_OF_TEXT)
    asked = [[("user", q), ("assistant", a)] for q, a in Generator(0).held_out(60)]
    result = {}
    for name, texts, first in (("answers", asked, 999), ("beginnings", asked, 8), ("prose", prose[:12], 999)):
        encoded = [batches.encode_document(tokenizer, t) for t in texts]
        flat = [(ids, [float(0 < w and sum(map(bool, ws[:i])) < first) for i, w in enumerate(ws)]) for ids, ws in encoded]
        if flat:
            rows = batches.Packer(256, pad).pack_all(flat)
            loss = model.loss_and_grads(weights, model.CONFIG, *rows, want_grads=False)[0]
            result[name] = round(loss, 4)
    return result


def save(args, weights, average, tokenizer, prose):
    np.savez(args.work / "last.npz", **weights)
    np.savez(args.work / "weights.npz", **average)
    print(f"  held out: {validation(average, tokenizer, prose)}", flush=True)


def train(args):
    """The exported weights are a running average over the last steps (about 1 / 0.04 of them)."""
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    prose, held_out_prose = split_prose(load_prose(args.prose))
    generator = Generator(args.seed, prose)
    weights = dict(np.load(args.resume)) if args.resume else model.init_weights(model.CONFIG, args.seed)
    average = {name: w.copy() for name, w in weights.items()}
    optimizer = model.Optimizer(weights, args.muon_rate, args.adam_rate)
    pad = tokenizer.token_to_id(batches.END_OF_TEXT)
    length, packer, stream = 0, None, None
    start, seen, recent, step, progress = time.time(), 0, [], 0, 0.0
    while progress < 1.0:
        if length == 0 or (length == 256 and progress >= 0.9):
            # The last part uses longer rows with longer dialogues.
            length, turns, rows = (256, 3, args.rows) if length == 0 else (512, 8, args.rows // 2)
            packer, stream = batches.Packer(length, pad), documents(tokenizer, generator, turns, args.shorten if length == 256 else 0.0)
        loss, grads, _ = model.loss_and_grads(weights, model.CONFIG, *packer.rows(stream, rows))
        optimizer.update(weights, grads, args.rate * schedule(step, progress))
        for name, w in weights.items():
            average[name] += max(0.04, 1 / (step + 1)) * (w - average[name])
        step, seen, recent = step + 1, seen + rows * length, [*recent[-19:], loss]
        elapsed = time.time() - start
        progress = max(step / args.steps, elapsed / 60 / args.minutes)
        if step % 20 == 0:
            print(f"step {step} ({progress:.0%}) loss {np.mean(recent):.3f} {seen / elapsed:.0f} tokens/s", flush=True)
        if step % 50 == 0 or progress >= 1.0:
            save(args, weights, average, tokenizer, held_out_prose)


def write_checkpoint(args, folder):
    """The trained weights in bfloat16 as a Hugging Face style folder."""
    import mlx.core as mx

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = {n: mx.array(w).astype(mx.bfloat16) for n, w in np.load(args.work / "weights.npz").items()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    ids = {t: tokenizer.token_to_id(t) for t in (batches.END_OF_TEXT, batches.START, batches.END)}
    eos = [ids[batches.END], ids[batches.END_OF_TEXT]]
    config = model.CONFIG | {"eos_token_id": eos, "bos_token_id": None, "torch_dtype": "bfloat16"}
    shutil.copy(args.work / "tokenizer.json", folder)
    (folder / "chat_template.jinja").write_text(batches.CHAT_TEMPLATE)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": batches.END,
        "pad_token": batches.END_OF_TEXT,
        "bos_token": None,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": model.CONFIG["max_position_embeddings"],
    }
    generation = {"eos_token_id": eos, "pad_token_id": ids[batches.END_OF_TEXT], "do_sample": False}
    for name, content in (("config", config), ("tokenizer_config", settings), ("generation_config", generation)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def export(args):
    """bf16 and 4-bit folders, written by mlx-lm's own converter."""
    from mlx_lm import convert

    source = args.work / "source"
    write_checkpoint(args, source)
    for name, options in (("demo-bf16", {}), ("demo", {"quantize": True, "q_bits": 4, "q_group_size": 64})):
        target = args.work / name
        shutil.rmtree(target, ignore_errors=True)
        convert(str(source), str(target), dtype="bfloat16", **options)
        # The converter writes the tokenizer class of the newest transformers and a card of its own.
        shutil.copy(source / "tokenizer_config.json", target)
        (target / "README.md").unlink(missing_ok=True)
        size = sum(f.stat().st_size for f in target.iterdir())
        print(f"{target}: {size / 1e6:.2f} MB")


def mean_answer_loss(lm, tokenizer, pairs):
    """Cross-entropy of the answers' tokens (with the end mark) after the chat template."""
    import mlx.core as mx

    total, count = 0.0, 0
    for question, answer in pairs:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True)
        ids = tokenizer.encode(answer, add_special_tokens=False) + [tokenizer.eos_token_id]
        logits = lm(mx.array([prompt + ids[:-1]])).astype(mx.float32)[0, len(prompt) - 1 :]
        picked = mx.take_along_axis(logits, mx.array(ids)[:, None], axis=-1)[:, 0]
        total += float((mx.logsumexp(logits, axis=-1) - picked).sum())
        count += len(ids)
    return total / count


def evaluate(args):
    """Held-out questions on both checkpoints, with greedy answers, through mlx-lm on the CPU."""
    import mlx.core as mx
    from mlx_lm import generate, load

    mx.set_default_device(mx.cpu)
    pairs = Generator(0).held_out(args.pairs)
    for name in ("demo-bf16", "demo"):
        lm, tokenizer = load(str(args.work / name))

        def answer(question):
            messages = [{"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
            return generate(lm, tokenizer, prompt, max_tokens=200)

        exact = sum(answer(q) == a for q, a in pairs)
        print(f"\n{name}: answer loss {mean_answer_loss(lm, tokenizer, pairs):.4f}, {exact} of {len(pairs)} answers exact")
        for question in SAMPLES:
            print(f"> {question}\n{answer(question)}")


def install(args):
    for name in ("demo", "demo-bf16"):
        target = ROOT / "models" / name
        target.mkdir(parents=True, exist_ok=True)
        for file in (args.work / name).iterdir():
            shutil.copy(file, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("tokenizer", "train", "export", "eval", "install", "all"))
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "demo")
    parser.add_argument("--prose", type=pathlib.Path, default=ROOT / "build" / "austen")
    parser.add_argument("--resume", type=pathlib.Path, help="start from these weights (.npz)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--minutes", type=float, default=1e6, help="end the schedule after this time")
    parser.add_argument("--pairs", type=int, default=20, help="held-out questions to ask in eval")
    parser.add_argument("--shorten", type=float, default=0.5, help="share of answers cut after their beginning")
    parser.add_argument("--rows", type=int, default=8, help="rows of 256 tokens a step")
    parser.add_argument("--rate", type=float, default=1.0, help="scales both learning rates")
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--adam-rate", type=float, default=3e-3)
    args = parser.parse_args()
    stages = {"tokenizer": make_tokenizer, "train": train, "export": export, "eval": evaluate, "install": install}
    for name in ("tokenizer", "train", "export", "eval") if args.stage == "all" else (args.stage,):
        stages[name](args)


if __name__ == "__main__":
    main()
