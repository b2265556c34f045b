#!/usr/bin/env python3
"""Asks a running `mica serve` for many answers under JSON schemas and validates each text.

    mica synth --like models/demo --out DIR && mica serve --model DIR --port 8080
    tools/check_structured.py --url http://127.0.0.1:8080 [--suite JSON-Schema-Test-Suite/tests/draft2020-12]

A model of random weights at temperature 1.5 shows the constraint alone. Seeds go round the schemas;
those that the server refuses as outside its subset are counted and not asked again. An answer that
max_tokens cut is no JSON and is counted apart. The exit status is 1 when an answer was not valid.

Needs: pip install 'jsonschema[format]' regex
"""
import argparse
import collections
import concurrent.futures
import decimal
import json
import pathlib
import re
import sys
import urllib.error
import urllib.request

import jsonschema
import jsonschema._keywords
import jsonschema._utils
import regex

decimal.getcontext().prec = 400  # multipleOf is exact


def strict(**properties):
    """An object as strict mode has it: all properties required, no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def text(**more):
    return {"type": "string", "maxLength": 30, **more}


def array(items, most=4, **more):
    return {"type": "array", "items": items, "maxItems": most, **more}


INTEGER, NUMBER, BOOLEAN = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
STEP = strict(explanation=text(), output=text())
NODE = strict(value=INTEGER, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})

REALISTIC = {
    "event": strict(name=text(), date=text(format="date"), participants=array(text())),
    "math": strict(steps=array(STEP), final_answer=text()),
    "person": strict(name=text(minLength=1), age={"type": "integer", "minimum": 0, "maximum": 150},
                     email={"type": "string", "format": "email"}, active=BOOLEAN),
    "invoice": strict(number=text(pattern="^INV-[0-9]{6}$"), currency={"enum": ["EUR", "USD", "GBP"]},
                      lines=array(strict(item=text(), quantity={"type": "integer", "minimum": 1},
                                         price={"type": "number", "minimum": 0, "multipleOf": 0.01}), minItems=1),
                      due={"anyOf": [text(format="date"), {"type": "null"}]}),
    "sentiment": strict(label={"type": "string", "enum": ["positive", "negative", "neutral"]},
                        confidence={"type": "number", "minimum": 0, "maximum": 1}),
    "weather": strict(location=text(), unit={"type": ["string", "null"], "enum": ["celsius", "fahrenheit", None]}),
    "node": {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    "interface": {"$ref": "#/$defs/part", "$defs": {"part": strict(
        type={"enum": ["div", "button", "form"]}, label=text(),
        children=array({"$ref": "#/$defs/part"}, most=2),
        attributes=array(strict(name=text(), value=text()), most=2))}},
    "moderation": strict(violates=BOOLEAN, category={"anyOf": [{"enum": ["violence", "hate"]}, {"type": "null"}]},
                         explanation={"anyOf": [text(), {"type": "null"}]}),
    "shape": strict(shape={"anyOf": [strict(kind={"const": "circle"}, radius=NUMBER),
                                     strict(kind={"const": "box"}, width=NUMBER, height=NUMBER)]}),
    "one_of": {"oneOf": [strict(kind={"const": "a"}, a=INTEGER), strict(kind={"const": "b"}, b=text())]},
    "times": strict(start={"type": "string", "format": "date-time"}, end={"type": "string", "format": "time"},
                    length={"type": "string", "format": "duration"}),
    "addresses": strict(host={"type": "string", "format": "hostname"}, v4={"type": "string", "format": "ipv4"},
                        v6={"type": "string", "format": "ipv6"}, id={"type": "string", "format": "uuid"}),
    "links": strict(page={"type": "string", "format": "uri"}, pointer={"type": "string", "format": "json-pointer"}),
    "matrix": strict(rows=array(array(NUMBER, most=3, minItems=3), most=3, minItems=3)),
    "tuple": {"type": "array", "prefixItems": [text(), INTEGER, BOOLEAN], "items": False, "minItems": 3},
    "map": {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,8}$"}, "maxProperties": 4,
            "additionalProperties": {"type": "integer", "minimum": -100, "maximum": 100}},
    "optional": {"type": "object", "properties": {"a": INTEGER, "b": text(), "c": array(BOOLEAN)},
                 "required": ["b"], "additionalProperties": False},
    "merged": {"allOf": [{"type": "object", "properties": {"id": INTEGER}, "required": ["id"]},
                         {"properties": {"tag": text(pattern="^[A-Z]+$")}, "required": ["tag"]}]},
    "codes": strict(plate=text(pattern="^[A-Z]{1,3}-[A-Z]{1,2} [1-9][0-9]{0,3}$"), zip=text(pattern="^\\d{5}(-\\d{4})?$"),
                    color=text(pattern="^#[0-9a-fA-F]{6}$"), even={"type": "integer", "multipleOf": 2}),
    "unicode": strict(**{"größe": {"enum": ["klein", "groß", "\"\\\n\u0001🙂"]}, "名前": text(minLength=2)}),
    "person_or_list": {"anyOf": [array(text(), minItems=1), strict(error=text())]},
}


def suite_schemas(folder):
    """Every schema of the suite's files; format.json has formats that only annotate."""
    out = {}
    if folder is None:
        return out
    files = [path for path in sorted(folder.glob("*.json")) if path.name != "format.json"]
    for path in files + sorted((folder / "optional/format").glob("*.json")):
        for i, group in enumerate(json.loads(path.read_text())):
            out[f"{path.stem}[{i}]"] = group["schema"]
    return out


class EcmaScript:
    """In place of `re` within jsonschema: patterns are ECMAScript's with the u flag."""
    MEANINGS = {"\\d": "[0-9]", "\\D": "[^0-9]", "\\w": "[A-Za-z0-9_]", "\\W": "[^A-Za-z0-9_]", "$": "\\Z",
                "\\s": "[\\s\ufeff]", "\\S": "[^\\s\ufeff]"}

    @classmethod
    def search(cls, pattern, value):
        python = re.sub(r"\\.|\$", lambda match: cls.MEANINGS.get(match[0], match[0]), pattern, flags=re.S)
        return regex.search(python, value, regex.V1)


def number(spelling):
    value = decimal.Decimal(spelling)
    return int(value) if value == value.to_integral_value() and abs(value) < 10**30 else value


def exact(value):
    return json.loads(value, parse_float=number)


def ask(url, schema, seed, max_tokens):
    body = {"messages": [{"role": "user", "content": "Answer in JSON."}], "temperature": 1.5, "seed": seed,
            "max_tokens": max_tokens, "response_format":
            {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=900) as reply:
        choice = json.load(reply)["choices"][0]
    return choice["finish_reason"], choice["message"]["content"]


def refusal(url, schema):
    """Why the server does not take the schema; None when it does."""
    try:
        ask(url, schema, 0, 1)
    except urllib.error.HTTPError as error:
        if error.code != 400:
            raise
        return json.load(error)["error"]["message"]
    return None


def fault(schema, content):
    try:
        value = exact(content)
    except ValueError as error:
        return f"no JSON: {error}"
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(exact(json.dumps(schema)), format_checker=checker)
    errors = [error.message for error in validator.iter_errors(value)]
    return "; ".join(errors)[:300]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=2000, help="answers")
    parser.add_argument("--first", type=int, default=0, help="seed of the first; the others count up")
    parser.add_argument("--suite", type=pathlib.Path, help="tests/draft2020-12 of the JSON-Schema-Test-Suite")
    parser.add_argument("--max-tokens", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=16)
    options = parser.parse_args()
    jsonschema._keywords.re = jsonschema._utils.re = EcmaScript

    schemas, refused = [], 0
    for name, schema in {**REALISTIC, **suite_schemas(options.suite)}.items():
        why = refusal(options.url, schema)
        if why is None:
            schemas.append((name, schema))
        elif name in REALISTIC:
            sys.exit(f"{name} is refused: {why}")
        else:
            refused += 1
    print(f"{len(schemas)} schemas, of which {len(REALISTIC)} of this program; {refused} refused")

    def one(seed):
        name, schema = schemas[seed % len(schemas)]
        finish, content = ask(options.url, schema, seed, options.max_tokens)
        return seed, name, finish, content, fault(schema, content) if finish == "stop" else ""

    finished, cut, wrong = collections.Counter(), collections.Counter(), 0
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        for seed, name, finish, content, why in pool.map(one, range(options.first, options.first + options.count)):
            (finished if finish == "stop" else cut)[name] += 1
            if why:
                wrong += 1
                print(f"NOT VALID seed {seed} {name}: {why}\n    {content[:300]!r}")
    never = sorted(set(cut) - set(finished))
    print(f"{options.count} answers: {finished.total()} ended, of {len(finished)} schemas, {wrong} not valid; "
          f"{cut.total()} cut at {options.max_tokens} tokens")
    print("never ended:", ", ".join(never) or "none")
    return 1 if wrong or not finished else 0


if __name__ == "__main__":
    sys.exit(main())
