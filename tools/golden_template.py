#!/usr/bin/env python3
"""Makes the template cases of tests/data/template from jinja2, set up as transformers does.

    pip install "jinja2==3.1.6"
    tools/golden_template.py                                # writes the three files of the tests
    tools/golden_template.py --random 20000 --seed 7 --out cases.json
    MICA_TEMPLATE_CASES=cases.json build/test_template --gtest_filter=*MoreCases

Each case is a template, the number of its variables ("context") and either the output or the
error that jinja2 raised.
"""

import argparse
import copy
import datetime
import json
import random
import re
import signal
import warnings
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from golden_template_cases import CONSTRUCTS, CONTEXTS
from golden_template_families import FAMILIES

NOW = datetime.datetime(2024, 2, 29, 12, 34, 56, 123456)
warnings.simplefilter("ignore")  # Python's, about the code that jinja2 makes
FOLDER = Path(__file__).resolve().parent.parent / "tests/data/template"


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        values = dict(*args, **kwargs)
        for name in values:
            Namespace._check(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name, value):
        Namespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def make_environment():
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: NOW.strftime(format)
    environment.globals["dict"] = Dict()
    environment.globals["namespace"] = Namespace
    return environment


ENVIRONMENT = make_environment()


def too_slow(*_):
    raise TimeoutError


def case(template, context):
    """The case, or None when its output is not the same every time."""
    result = {"template": template, "context": context}
    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(5)
    try:
        output = ENVIRONMENT.from_string(template).render(**copy.deepcopy(CONTEXTS[context]))
        output.encode("utf-8")
    except (TimeoutError, MemoryError, UnicodeEncodeError):
        return None
    except Exception as error:  # whatever it is: the template must raise
        result["error"] = f"{type(error).__name__}: {error}"[:120]
        return result
    finally:
        signal.alarm(0)
    if re.search(r" at 0x[0-9a-f]+>|<function|<class|<bound|TransformersDict|<__main__|1e\+\d\d\d|\d{35}", output):
        return None
    if len(output) > 100_000:
        return None
    result["output"] = output
    return result


ATOMS = """1 0 -1 2 3 7 10 2.5 -0.5 1e3 0.1 100 'a' '' 'Hello World' ' pad ' 'a,b,c' 'ABC' 'éß' "it's" 'x\\ny'
true false none s n f t z lst nums words d nested users empty missing missing2 u none_value
[] [1,2,3] ['b','a','C'] {} {'a':1,'b':[1,2]} (1,2) () ('x',) d.a d['b'] users[0] users[0].name lst[0] lst[-1]
nested.a.b words|first range(4) range(2,10,3) messages tools big""".split(" ")
ATOMS = [a for line in ATOMS for a in line.split("\n") if a]
BINARY = "+ - * / // % ** ~ == != < > <= >= in and or".split() + ["not in"]
FILTERS = """abs capitalize center(12) count d('x') default('dd') default('e',true) dictsort
dictsort(true) dictsort(by='value') dictsort(reverse=true) e escape first float float(7) forceescape
format(1) format('z') indent indent(2) indent(2,true) indent('>',first=true,blank=true) int int(5)
int(0,16) items|list join join(',') join('-',attribute='name') last length list lower map('upper')|list
map('int')|list map(attribute='name')|list map(attribute='age',default=0)|list max min max(attribute='age')
min(case_sensitive=true) reject('none')|list reject|list rejectattr('age')|list replace('a','b')
replace('l','L',1) replace('','-') reverse reverse|list round round(1) round(2,'floor') round(0,'ceil')
safe select('odd')|list select|list selectattr('age','gt',20)|list selectattr('name')|list
selectattr('name','in',['Al','bo'])|list slice(2)|list slice(3,'x')|list batch(2)|list batch(2,0)|list
sort sort(reverse=true) sort(attribute='name') sort(attribute='age,name') sort(case_sensitive=true) string
striptags sum sum(attribute='age') sum(start=5) title tojson tojson(indent=2) tojson(ensure_ascii=true)
tojson(separators=(',',':')) tojson(sort_keys=true) tojson(indent=4,sort_keys=true) trim trim('a') truncate(5)
truncate(7,true) truncate(5,true,'..',0) unique|list unique(attribute='name')|list upper urlencode wordcount
wordwrap(5) wordwrap(7,false) xmlattr groupby('age') groupby('name')|list groupby('age',default=3)
map('default','q')|list attr('upper') pprint filesizeformat map('length')|list map('trim')|list tojson|safe e|string""".split()
TESTS = """defined undefined none string mapping iterable sequence number integer float boolean true
false callable odd even lower upper divisibleby(2) divisibleby(3) sameas(none) sameas(true) equalto(1) eq('a')
in([1,'a']) ==(2) ne(1) gt(1) lessthan(3) ge(2) le(2) escaped filter test""".split()
METHODS = """.upper() .lower() .strip() .lstrip() .rstrip() .strip('a ') .split() .split(',') .split(',',1)
.split(none,1) .rsplit(',',1) .rsplit(none,1) .title() .capitalize() .replace('a','b') .replace('l','L',1)
.startswith('a') .startswith(('a','H')) .endswith('d') .find('l') .rfind('l') .index('a') .count('a') .join(['x','y'])
.join(words) .items() .keys() .values() .get('a') .get('zz') .get('zz',5) .zfill(5) .ljust(6)
.rjust(6,'*') .center(9,'.') .partition(',') .rpartition(',') .splitlines() .splitlines(true) .isdigit() .isalpha() .isupper()
.islower() .isspace() .isalnum() .istitle() .swapcase() .casefold() .removeprefix('a') .removesuffix('d') .format(1,2)
.a .name .b .items .append(1) .pop() .update({}) .real .copy() .index(2) .count(2) [0] [-1] ['a'] [1:] [:2]
[::-1] [1:3] [-2:] [::2] [:-1] [5] ['upper'] [none] [1:none] .0 .missing.x .format(a=1) .expandtabs()
.isidentifier() .isnumeric() .isdecimal() .encode.x .__class__ ._x""".split()
FORMATS = ["'%s|%s'", "'%d'", "'%5.2f'", "'%-6s|'", "'%05d'", "'%x'", "'%r'", "'%(a)s'", "'%%'", "'%+d'", "'%e'", "'%g'", "'%3d|%-3d'"]
BRACES = ["'{}'", "'{0}-{1}'", "'{:>8}'", "'{:<8}|'", "'{:^9}'", "'{:05d}'", "'{:.2f}'", "'{:,}'", "'{!r}'", "'{0[a]}'",
          "'{a}'", "'{:x}'", "'{:#x}'", "'{:+.1e}'", "'{:%}'", "'{{}}'", "'{:*^11}'", "'{:g}'", "'{:_}'", "'{0.name}'", "'{:{}}'"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth):
        pick = self.random.random()
        choice = self.random.choice
        if depth <= 0 or pick < 0.12:
            return choice(ATOMS)
        inner = self.expression
        if pick < 0.32:
            return f"({inner(depth - 1)} {choice(BINARY)} {inner(depth - 1)})"
        if pick < 0.55:
            return f"({inner(depth - 1)})|{choice(FILTERS)}"
        if pick < 0.72:
            method = choice(METHODS)
            if ":" in method:  # jinja2 folds slices of constants by other rules
                return choice("s u lst words nums d n missing messages".split()) + method
            return f"({inner(depth - 1)}){method}"
        if pick < 0.80:
            return f"({inner(depth - 1)} is {choice(['', 'not '])}{choice(TESTS)})"
        if pick < 0.83:
            return f"({inner(depth - 1)} if {inner(depth - 1)} else {inner(depth - 1)})"
        if pick < 0.86:
            return f"[{inner(depth - 1)}, {inner(depth - 1)}]"
        if pick < 0.88:
            return f"{{'k': {inner(depth - 1)}, {choice(ATOMS)}: 2}}"
        if pick < 0.90:
            return f"({choice(['not ', '-', '+'])}{inner(depth - 1)})"
        if pick < 0.93:
            return f"({choice(FORMATS)} % ({inner(depth - 1)}))"
        if pick < 0.96:
            return f"{choice(BRACES)}.format({inner(depth - 1)}, 3)"
        return f"({inner(depth - 1)} {choice(['<', '==', '>='])} {inner(depth - 1)} {choice(['<', '!=', '<='])} {inner(depth - 1)})"

    def space(self):
        return self.random.choice(["", "", " ", "\n", "  \n", "\n  ", "\t", "x", " y\n"])

    def tag(self, text):
        sign = self.random.choice
        return "{%" + sign(["", "", "-", "+"]) + f" {text} " + sign(["", "", "-", "+"]) + "%}"

    def statement(self, depth):
        choice = self.random.choice
        body = lambda: self.space() + "".join(self.statement(depth - 1) for _ in range(self.random.randint(1, 2))) + self.space()
        pick = self.random.random()
        if depth <= 0 or pick < 0.3:
            sign = choice(["", "", "-"])
            return "{{" + sign + " " + self.expression(2) + " " + choice(["", "-"]) + "}}"
        if pick < 0.5:
            names = choice(["i", "i", "a, b"])
            suffix = choice(["", "", "", " if i", " if loop is defined", " if i is odd"])
            text = self.tag(f"for {names} in {self.expression(1)}{suffix}") + body()
            text += choice(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", "{{ loop.revindex0 }}", "{{ loop.previtem }}",
                            "{{ loop.nextitem }}", "{{ loop.cycle('a','b') }}", "{{ loop.changed(i) }}", "{% if i == 2 %}{% break %}{% endif %}",
                            "{% if i %}{% continue %}{% endif %}z", "{{ i }}{{ x }}"])
            if choice([0, 0, 1]):
                text += self.tag("else") + body()
            return text + self.tag("endfor")
        if pick < 0.65:
            text = self.tag(f"if {self.expression(2)}") + body()
            if choice([0, 1]):
                text += self.tag(f"elif {self.expression(1)}") + body()
            if choice([0, 1]):
                text += self.tag("else") + body()
            return text + self.tag("endif")
        if pick < 0.75:
            return self.tag(f"set {choice('xy')} = {self.expression(2)}") + "{{ x }}" + self.space()
        if pick < 0.80:
            return self.tag("set x" + choice(["", " | upper", " | trim | length"])) + body() + self.tag("endset") + "{{ x }}"
        if pick < 0.85:
            parameters = choice(["", "p", "p, q=2", "p=n, q=p"])
            arguments = choice(["", "1", "1, 2", "q=3", "1, 2, 3", "p=1, q=2", "1, zz=4"])
            extra = choice(["", "{{ varargs }}", "{{ kwargs }}", "{{ caller }}", "{{ p }}{{ q }}"])
            return self.tag(f"macro mm({parameters})") + extra + body() + self.tag("endmacro") + "{{ mm(" + arguments + ") }}"
        if pick < 0.89:
            return self.tag("filter " + choice(["upper", "trim|title", "replace('a','b')", "indent(2)"])) + body() + self.tag("endfilter")
        if pick < 0.93:
            return self.tag(f"with x = {self.expression(1)}, y = x") + body() + "{{ y }}" + self.tag("endwith")
        if pick < 0.96:
            return self.tag("generation") + body() + self.tag("endgeneration")
        return choice(["{# c #}", "{#- c -#}", "{# a\n#}\n", "{% raw %} {{ x }} {% endraw %}", "{%- raw -%} {% y %} {%- endraw -%}", "{ {", "%}", "#}"])

    def template(self):
        if self.random.random() < 0.55:
            return "{{ " + self.expression(self.random.randint(1, 3)) + " }}"
        return "".join(self.space() + self.statement(3) for _ in range(self.random.randint(1, 3))) + self.space()


def random_cases(count, seed):
    generator = Generator(seed)
    cases = []
    raising = 0
    while len(cases) < count:
        made = case(generator.template(), 0)
        if not made or ("error" in made and raising * 4 > count):
            continue
        raising += "error" in made
        cases.append(made)
    return cases


def write(path, cases):
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    contexts = json.dumps(CONTEXTS, ensure_ascii=False)
    path.write_text(f'{{"contexts": {contexts},\n"cases": [\n{lines}\n]}}\n')
    errors = sum("error" in c for c in cases)
    print(f"{path}: {len(cases)} cases, {errors} of them raise")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.out:
        write(arguments.out, random_cases(arguments.random, arguments.seed))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(FOLDER / "constructs.json", [c for c in (case(t, 0) for t in CONSTRUCTS) if c])
    family = [case(t, i) for t in FAMILIES.values() for i in range(1, len(CONTEXTS))]
    write(FOLDER / "families.json", family)
    write(FOLDER / "random.json", random_cases(1200, 1))


if __name__ == "__main__":
    main()
