"""Reads a Dockerfile: stages, instructions, variables. What is not known here is an error with its line.

Grammar: docs.docker.com/reference/dockerfile.
"""
import dataclasses
import json
import re


class DockerfileError(Exception):
    def __init__(self, line, message):
        super().__init__(f"line {line}: {message}")


FLAGS = {
    "FROM": set(),
    "RUN": set(),
    "COPY": {"from", "chown", "chmod"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}
KNOWN = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "ENTRYPOINT", "CMD", "HEALTHCHECK",
         "VOLUME", "EXPOSE", "STOPSIGNAL"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass
class Instruction:
    line: int
    name: str
    flags: dict
    text: str  # what follows the flags

    def argv(self):
        """The list of the JSON form, or None for the shell form."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError as error:
            raise DockerfileError(self.line, f"{self.name}: not a JSON list: {error}") from None
        if not words or not all(isinstance(word, str) for word in words):
            raise DockerfileError(self.line, f"{self.name}: expected a list of strings")
        return words

    def command(self):
        return self.argv() or ["/bin/sh", "-c", self.text]


@dataclasses.dataclass
class Stage:
    line: int
    base: str  # an image, or the name of an earlier stage
    name: str
    instructions: list


def logical_lines(text):
    """Yields (number of the first line, line) with continuations joined and comments dropped."""
    number, parts = 0, []
    for current, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            continue
        if not parts:
            number = current
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        joined = "".join(parts) + line
        parts = []
        if joined.strip():
            yield number, joined.strip()
    if parts:
        raise DockerfileError(number, "the file ends inside of a continued line")


def split_flags(line, name, text):
    flags = {}
    while text.startswith("--"):
        word, _, text = text.partition(" ")
        key, equals, value = word[2:].partition("=")
        if key not in FLAGS.get(name, set()) or not equals:
            raise DockerfileError(line, f"{name}: unknown flag {word}")
        flags[key] = value
        text = text.lstrip()
    return flags, text


def parse_line(line, text):
    name, _, rest = text.partition(" ")
    name, rest = name.upper(), rest.strip()
    if name not in KNOWN:
        raise DockerfileError(line, f"unknown instruction {name}")
    if not rest:
        raise DockerfileError(line, f"{name} without arguments")
    if name in ("RUN", "COPY") and re.search(r"<<-?[\"']?[A-Za-z_]", rest):
        raise DockerfileError(line, f"{name}: here-documents are not known to this check")
    flags, rest = split_flags(line, name, rest)
    return Instruction(line, name, flags, rest)


def expand(line, text, variables):
    """Splits into words: quotes, backslashes and $NAME, ${NAME}, ${NAME:-x}, ${NAME:+x} as Docker's."""
    words, word, quote, i = [], None, "", 0
    while i < len(text):
        c = text[i]
        if c == "\\" and quote != "'" and i + 1 < len(text):
            word = (word or "") + text[i + 1]
            i += 2
        elif c == "$" and quote != "'":
            value, i = variable(line, text, i, variables)
            word = (word or "") + value
        else:
            i += 1
            if c == quote:
                quote = ""
            elif c in "\"'" and not quote:
                quote, word = c, word or ""
            elif c.isspace() and not quote:
                if word is not None:
                    words.append(word)
                word = None
            else:
                word = (word or "") + c
    if quote:
        raise DockerfileError(line, f"a {quote} is not closed")
    return words + ([word] if word is not None else [])


def variable(line, text, i, variables):
    """The value of the reference at text[i] and where it ends."""
    if match := NAME.match(text, i + 1):
        return variables.get(match[0], ""), match.end()
    match = re.compile(r"\$\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\}").match(text, i)
    if not match:
        raise DockerfileError(line, f"cannot read the variable at '{text[i:i + 20]}'")
    name, kind, other = match.groups()
    value = variables.get(name, "")
    if kind == "-":
        value = value or other
    elif kind == "+":
        value = other if value else ""
    return value, match.end()


def assignments(instruction, variables):
    """NAME=value pairs of ENV and ARG; an ARG without a value gives None."""
    pairs = []
    for word in expand(instruction.line, instruction.text, variables):
        name, equals, value = word.partition("=")
        if not NAME.fullmatch(name) or (not equals and instruction.name == "ENV"):
            raise DockerfileError(instruction.line, f"{instruction.name}: expected NAME=value, found {word}")
        pairs.append((name, value if equals else None))
    return pairs


def parse_from(instruction, variables):
    words = expand(instruction.line, instruction.text, variables)
    if len(words) == 1:
        return Stage(instruction.line, words[0], "", [])
    if len(words) == 3 and words[1].upper() == "AS":
        return Stage(instruction.line, words[0], words[2].lower(), [])
    raise DockerfileError(instruction.line, "FROM: expected IMAGE or IMAGE AS NAME")


def parse(text, build_args=None):
    """Returns the stages and the arguments before the first FROM, with `build_args` applied."""
    build_args = build_args or {}
    stages, global_args = [], {}
    for line, logical in logical_lines(text):
        instruction = parse_line(line, logical)
        if instruction.name == "FROM":
            stages.append(parse_from(instruction, global_args))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.name == "ARG":
            for name, value in assignments(instruction, global_args):
                global_args[name] = build_args.get(name, value or "")
        else:
            raise DockerfileError(line, f"{instruction.name} before the first FROM")
    if not stages:
        raise DockerfileError(1, "no FROM")
    check_references(stages)
    return stages, global_args


def check_references(stages):
    """Every --from names an earlier stage, every list that must be JSON is one."""
    names = []
    for stage in stages:
        for instruction in stage.instructions:
            source = instruction.flags.get("from")
            if source is not None and source.lower() not in names:
                raise DockerfileError(instruction.line, f"COPY --from={source}: no earlier stage of that name")
            if instruction.name in ("RUN", "CMD", "ENTRYPOINT"):
                instruction.argv()
            if instruction.name == "HEALTHCHECK":
                healthcheck(instruction)
        names.append(stage.name)


def seconds(line, text):
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or not parts:
        raise DockerfileError(line, f"'{text}' is not a time such as 30s or 1m30s")
    hours, minutes, rest = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + rest


def healthcheck(instruction):
    """{"command": [...], "interval": s, "timeout": s, "start-period": s, "retries": n}, or None for NONE."""
    if instruction.text.upper() == "NONE":
        return None
    word, _, rest = instruction.text.partition(" ")
    if word.upper() != "CMD" or not rest.strip():
        raise DockerfileError(instruction.line, "HEALTHCHECK: expected CMD and a command, or NONE")
    command = Instruction(instruction.line, "HEALTHCHECK", {}, rest.strip()).command()
    times = {"interval": "30s", "timeout": "30s", "start-period": "0s", "start-interval": "5s"}
    flags = dict(instruction.flags)
    retries = int(flags.pop("retries", 3))
    times.update(flags)
    return {"command": command, "retries": retries,
            **{key: seconds(instruction.line, value) for key, value in times.items()}}
