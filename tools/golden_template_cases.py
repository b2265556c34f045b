"""The variables of tools/golden_template.py and one small template for each construct. Whole chat
templates are in golden_template_families.py."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Gets the weather.\nFor a city <name>.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city, e.g. Zürich"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                    "days": {"type": ["integer", "null"], "nullable": True},
                    "places": {"type": "array", "items": {"type": "object", "properties": {
                        "lat": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
                        "required": ["lat"]}},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]
SYSTEM = {"role": "system", "content": "  You are terse. \n"}
USER = {"role": "user", "content": "What's the \"weather\" in Zürich? <b>&amp;</b>"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image", "image": "x"}, {"type": "text", "text": "who?"}]}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "abc123XYZ", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "deep": {"a": [1.0, None, True]}}}}]}
TEXT_CALL = {"role": "assistant", "content": None, "reasoning_content": "Let me call.", "tool_calls": [
    {"id": "call12345", "type": "function", "function": {"name": "now", "arguments": "{\"x\": 1}"}}]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abc123XYZ", "content": "{\"t\": 21}"}
THOUGHT = {"role": "assistant", "content": "<think>\nhmm, 1 < 2\n</think>\n\nIt is sunny. "}
FIELDS = {"role": "assistant", "content": "Sunny.", "reasoning_content": "I looked.", "thinking": "I looked."}
MORE = {"role": "user", "content": "Thanks! 🙂"}

BASE = {"bos_token": "<s>", "eos_token": "</s>", "documents": None}


def chat(messages, tools=None, **more):
    return {**BASE, "messages": messages, "tools": tools, "add_generation_prompt": True, **more}


CONTEXTS = [
    {
        "s": "Hello, World", "n": 5, "f": 2.5, "t": True, "z": 0, "u": "Grüße, ЖЗ 日本",
        "lst": [3, 1, 2], "nums": [1, 2.5, -3, 4], "words": ["banana", "Apple", "cherry", "apple"],
        "d": {"b": 2, "a": 1, "C": [1, {"x": None}]}, "nested": {"a": {"b": {"c": "deep"}}},
        "users": [{"name": "Al", "age": 30}, {"name": "bo", "age": 25}, {"name": "Cy", "age": 30, "items": [1]}],
        "empty": [], "none_value": None, "big": 12345678901234567890,
        "messages": [SYSTEM, USER, CALL, RESULT, THOUGHT], "tools": TOOLS, "bos_token": "<s>",
    },
    chat([USER]),
    chat([SYSTEM, USER], add_generation_prompt=False),
    chat([SYSTEM, USER, THOUGHT, MORE], enable_thinking=False),
    chat([SYSTEM, USER, CALL, RESULT, THOUGHT, MORE], TOOLS),
    chat([USER, CALL, RESULT, RESULT, FIELDS, MORE, TEXT_CALL, RESULT], TOOLS, enable_thinking=True, reasoning_effort="high"),
    chat([PARTS, THOUGHT, PARTS]),
    chat([USER, USER]),
    chat([MORE, FIELDS], add_generation_prompt=False, date_string="1 Jan 2025", builtin_tools=["browser", "python"]),
    chat([SYSTEM]),
    chat([]),
]

CONSTRUCTS = r"""{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1e16 }} {{ 1e15 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1/3 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ (1,) == [1] }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1,'x'] }} {{ 'ab' * 3 }} {{ [1] * 2 }} {{ 3 * 'x' }} {{ 'a' 'b' }}
{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5e1_0 }} {{ 12.0e0 }}
{{ true }} {{ True }} {{ none }} {{ None }} {{ false }} {{ [true, none, 'q"x', "it's", 'both\'"'] }}
{{ missing }}|{{ missing.x }}
{{ missing is defined }} {{ d.zz is defined }} {{ d.zz }} {{ [missing] }} {{ missing == missing2 }} {{ missing + 1 }}
{{ missing|length }} {% for x in missing %}x{% else %}none{% endfor %}
{{ missing() }}
{{ s[0] }} {{ s[-1] }} {{ s[100] }} {{ s[1:4] }} {{ s[::-1] }} {{ u[-2:] }} {{ u[7:9] }} {{ lst[1:] }} {{ lst[::-1] }} {{ (1,2,3)[::2] }}
{{ lst[0] }} {{ lst['0'] }} {{ lst.0 }} {{ d['a'] }} {{ d.a }} {{ d.C[1].x }} {{ users.0.name }} {{ users[2].items }}
{{ users[2]['items'] }}
{{ 'yes' if t else 'no' }} {{ 'yes' if z }}| {{ ('a' if z else 'b') if t else 'c' }}
{{ not t }} {{ not z }} {{ t and 5 }} {{ z or 'alt' }} {{ '' or none or 0 }} {{ 1 in lst }} {{ 9 not in lst }} {{ 'a' in d }} {{ 'ell' in s }}
{{ d }} {{ nested }} {{ users }} {{ () }} {{ (1,) }} {{ {} }} {{ {'a': (1, 2.0)} }} {{ {1: 2, none: 3, true: 4} }}
{{ {'a': 1, 'b': 2}.items() }} {{ d.keys() }} {{ d.values()|list }} {{ d.items()|list }} {{ range(3) }} {{ range(1, 10, 2)|list }} {{ range(5)[1:3] }}
{% for i in lst %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for a, (b, c) in [[1, (2, 3)], [4, (5, 6)]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %}
{% for x in lst if x > 1 %}{{ x }}{{ loop.length }}{% endfor %}
{% for x in lst %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% endfor %}
{% for x in [1] %}{% break %}{% else %}E{% endfor %}
{% for item in [{'n': 1, 'c': [{'n': 2, 'c': [{'n': 3}]}]}, {'n': 4}] recursive %}{{ loop.depth }}:{{ item.n }}{% if item.c %}({{ loop(item.c) }}){% endif %}{% endfor %}
{% for x in lst %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}
{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in lst %}{% set y = x %}{% endfor %}{{ y }}
{% set y = 1 %}{% for x in lst %}{{ y }}{% set y = x %}{{ y }}{% endfor %}{{ y }}
{% set ns = namespace(c=0, l=[]) %}{% for x in lst %}{% set ns.c = ns.c + x %}{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.c }}{{ ns.l }}{{ ns }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set d.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}{% set t2 = 1, 2 %}{{ t2 }}
{% set x %}  hi {{ n }} {% endset %}[{{ x }}]{% set x | upper | trim %} lo {% endset %}[{{ x }}]
{% if z %}a{% elif n == 5 %}b{% else %}c{% endif %}
{% macro m(a, b=2, *c) %}{% endmacro %}
{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, 3, 4, 5, x=6) }}{{ m(b=1, a=2) }}{{ m() }}
{% macro m(a, b=a) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }}{{ m('x', b='y') }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(zz=2) }}
{% macro box(title) %}<{{ title }}>{{ caller() }}</{{ title }}>{% endmacro %}{% call box('b') %}inner {{ n }}{% endcall %}
{% macro each(l) %}{% for x in l %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(x, i) each(lst) %}[{{ i }}:{{ x }}]{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro m() %}{{ late }}{% endmacro %}{% set late = 5 %}{{ m() }}
{% macro fact(k) %}{{ 1 if k < 2 else k * fact(k - 1)|int }}{% endmacro %}{{ fact(10) }}
{{ m2() }}{% macro m2() %}x{% endmacro %}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b') | title %}aa xx{% endfilter %}
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}
{% generation %}gen {{ n }}{% set g = 1 %}{% endgeneration %}{{ g }}
{% raw %}{{ not }} {% parsed %}{% endraw %}
{# comment {{ x }} #}after
a  {#- trim -#}  b  {%- if t -%}  c  {%- endif -%}  d
{%+ if t +%}  x  {%+ endif +%}  y
{{- s -}}  z
{% autoescape false %}{{ '<' }}{% endautoescape %}
{% block title %}in {{ n }}{% endblock %}
{% print 1, 'a' %}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% do x %}
{% if %}
{% for x in %}
{% endif %}
{% if t %}
{{ }}
{{ 'abc }}
{{ a b }}
{{ [1, 2 }}
{{ (1 }}
{{ 1 +  }}
{% set 1 = 2 %}
{% set none = 2 %}
{% for loop in lst %}{% endfor %}
{{ x | nofilter }}
{{ x is notest }}
{% if z %}{{ x | nofilter }}{% endif %}ok
{{ (x | nofilter) if z else 'fine' }}
{% if t %}{{ x | nofilter }}{% endif %}
{% break %}
{{ 1 is odd is even }}
{{ raise_exception('stop') }}
{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }} {{ strftime_now('%d %b %Y, %A %j %U %y %p %I %-d %B %%') }}
{{ dict(a=1, b=2) }} {{ dict([('x', 1)], y=2) }} {{ dict(d, a=9) }} {{ dict.fromkeys(['a', 'b'], 0) }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner(';') %}{% for x in lst %}{{ j() }}{{ x }}{% endfor %}
{{ '%s is %d and %5.2f|%-5s|%05d|%x|%%' % ('a', 3, 2.5, 'l', 42, 255) }} {{ '%s' % 5 }} {{ '%(a)s' % d }} {{ '%s %s' % (1,) }}
{{ '%s' % [1,2] }} {{ '%d' % 'x' }}
{{ '{} {} {{}}'.format(1, 'b') }} {{ '{1}{0}'.format(1, 2) }} {{ '{a:>5}|{b!r}'.format(a=1, b='x') }} {{ '{0[a]} {1.name}'.format(d, users[0]) }} {{ '{:,}'.format(1234567) }}
{{ '{:08.3f}|{:+d}|{:^7}|{:*<6}|{:#x}|{:e}|{:%}|{:g}'.format(3.14159, 5, 'mid', 'l', 255, 12345.678, 0.25, 1e10) }}
{{ '{}'.format() }}
{{ ' a b  c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.split(none, 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'abc'.split('') }}
{{ 'xxabcxx'.strip('x') }} {{ 'xxabcxx'.lstrip('x') }}{{ '\n a \t'.strip() }}|{{ ' a '.rstrip() }}|{{ 'a\n\n'.rstrip('\n') }}|
{{ 'they\'re bill\'s'.title() }} {{ 'they\'re bill\'s'|title }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'ß'.upper() }} {{ 'ΑΣ'.lower() }} {{ 'İ'.lower()|length }}
{{ 'abcabc'.find('c') }} {{ 'abc'.find('z') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.index('c') }} {{ 'aXbX'.count('X') }} {{ 'abc'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'éaé'.find('a') }}
{{ 'abc'.index('z') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('bc', 1) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.startswith(['a']) }}
{{ ', '.join(['a', 'b']) }} {{ ', '.join([1]) }}
{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('x') }} {{ 'a\nb\r\nc'.splitlines() }} {{ '42'.zfill(5) }} {{ '-42'.zfill(5) }} {{ 'ab'.center(5, '*') }} {{ 'abc'.center(6) }}|
{{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 'def') }} {{ d.update({'z': 1}) }}
{{ lst.append(4) }}
{{ lst.append }}| {{ lst.append is defined }} {{ d.pop is defined }} {{ ''.__class__ }}| {{ ''.__class__.__mro__ }}
{{ lst.index(1) }} {{ lst.count(1) }} {{ lst.index(99) }}
{{ d|tojson }} {{ d|tojson(indent=2) }} {{ 'é<>&\'"\\\n\u0001'|tojson }} {{ 'é😀'|tojson(ensure_ascii=true) }} {{ [1.0, 1e20, none, true]|tojson }} {{ {}|tojson(indent=2) }} {{ [[], {}]|tojson(indent=1) }} {{ {1: 2, none: 3}|tojson }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ (1, 2)|tojson }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(',', ':')) }} {{ d|tojson(indent='\t') }} {{ d|tojson(false, 1, (' ,', ' :')) }}
{{ words|sort }} {{ words|sort(reverse=true) }} {{ words|sort(case_sensitive=true) }} {{ users|sort(attribute='age')|map(attribute='name')|list }} {{ d|dictsort }} {{ [1, 'a']|sort }}
{{ words|unique|list }} {{ lst|max }} {{ lst|min }} {{ []|max }} {{ lst|sum }} {{ users|sum(attribute='age') }} {{ users|map(attribute='name')|join(', ') }} {{ words|map('upper')|list }} {{ lst|map('string')|join }}
{{ users|selectattr('age', 'equalto', 30)|map(attribute='name')|list }} {{ users|rejectattr('age', 'gt', 26)|list|length }} {{ lst|select('odd')|list }} {{ lst|reject('>', 1)|list }} {{ [0, 1, '', 'a']|select|list }}
{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|length }};{% endfor %}{% for k, v in users|groupby('age') %}{{ k }}={{ v|map(attribute='name')|join('+') }} {% endfor %}
{{ lst|batch(2)|list }} {{ lst|batch(2, 'x')|list }} {{ [1,2,3,4,5]|slice(2)|list }} {{ lst|first }} {{ lst|last }} {{ []|first }}| {{ lst|reverse|list }} {{ s|reverse }} {{ 'abc'|list }} {{ d|list }} {{ d|items|list }} {{ d|length }}
{{ 3.7|int }} {{ '42'|int }} {{ '3.9'|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(0, 16) }} {{ '1f'|int(base=16) }} {{ none|int }} {{ '3.5'|float }} {{ 'x'|float }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 5|round }} {{ 42.55|round(1, 'floor') }} {{ 1234|round(-2) }} {{ -3|abs }}
{{ missing|int }}
{{ missing|default('d') }} {{ ''|default('d') }} {{ ''|default('d', true) }} {{ none|d('x') }} {{ none_value|default('y', boolean=true) }}
{{ '<a href="x">\'&'|e }} {{ '<a>'|safe }} {{ '<b>'|e|e }} {{ '<b>'|forceescape }} {{ ('<b>'|safe) + '<i>' }} {{ '<i>' + ('<b>'|safe) }} {{ ('<b>'|safe) ~ '<i>' }} {{ ['<']|join('>'|safe) }}
{{ 'a\nb\n\nc'|indent }} {{ 'a\nb'|indent(2, true) }} {{ 'a\n\nb'|indent(2, blank=true) }} {{ 'a\nb'|indent('> ') }}
{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(11, false, '...', 0) }}
{{ 'the quick brown fox jumps'|wordwrap(10) }} {{ 'abcdefghijklm nop'|wordwrap(5) }} {{ 'abcdefghijklm nop'|wordwrap(5, false) }} {{ 'well-known long-term'|wordwrap(7) }} {{ 'a b'|wordcount }} {{ ' x '|trim }}| {{ 'xax'|trim('x') }}
{{ 'a b/c&é'|urlencode }} {{ {'a': 'b c', 'd': 1}|urlencode }} {{ {'class': 'x', 'n': none, 'q': '<'}|xmlattr }} {{ '<p>a  <b>b</b></p>'|striptags }} {{ 'x'|center(5) }}| {{ 'hello world'|capitalize }} {{ '%s-%s'|format(1, 2) }}
{{ d|pprint }} {{ users|pprint }}
{{ 5 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ n is number }} {{ true is number }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ t is boolean }} {{ t is true }} {{ z is false }} {{ none is none }} {{ s is string }} {{ d is mapping }} {{ lst is iterable }} {{ s is iterable }} {{ n is iterable }} {{ lst is sequence }} {{ d is sequence }} {{ range is callable }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is eq 1 }} {{ 1 is in [1] }} {{ 1 is sameas 1 }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 1 is not none }}
{{ missing is odd }}
{{ lst|map('upper') is iterable }} {{ lst|map('upper') is sequence }} {{ (lst|map('upper'))[0] }}| {{ lst|select|length }}
{% set g = lst|map('string') %}{{ g|list }}{{ g|list }}
{{ '\x41\u0042\103\n\t\\ \q \"' }}
{{ 1/0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 'a' + 1 }}
{{ [1] + (2,) }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ -'a' }}
{{ {}[[]] }}|
{{ {[]: 1} }}
{{ lst() }}
{{ none.x }}|{{ none.x.y }}
{{ none_value[1:] }}
{{ range(1000000) }}
{{ loop }}| {{ n.real }} {{ n.__add__ }}|
{{ d.items }}x
{% for m in messages %}{% if m.content is string %}{{ m.role }}: {{ m.content[:10]|trim }}{% endif %}{% endfor %}
{{ messages|selectattr('role', 'in', ['user', 'tool'])|map(attribute='content')|list|tojson }}
{{ (messages|last).content.split('</think>')[-1].lstrip('\n') }} {{ messages[1:]|length }} {{ messages[-1]['role'] }} {{ (messages|selectattr('role','equalto','user')|list)[-1].content }}
{{ f(**{'a': 1}) }}
{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 1, 'b': 2}) }}{{ m(1, **{'a': 1}) }}
{{ range(**{'a': 1}) }}
{{ f(a=1, a=2) }}
{{ big }} {{ big + 1 }} {{ big * 2 }} {{ 10 ** 30 }} {{ 2 ** 100 }}
{{ s.foo() }}
{{ [1, 2, 3].__len__() }}
{{ 'a'.join('bcd') }} {{ 'abc'|join('-') }} {{ d|join(',') }} {{ lst|join(', ') }}
{%- for i in range(3) -%}
  {{ i }}
{%- endfor %}
{{ 'x' if missing is defined else 'y' }} {{ missing or 'z' }} {{ missing and 1 }}| {{ not missing }} {{ missing in lst }} {{ 'a' in missing }}
{% set x = 5 %}{% macro m() %}{% set x = 6 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}{% if t %}{% set x = 7 %}{% endif %}{{ x }}
{% set ns = namespace(a=1) %}{{ ns.a }}{{ ns['a'] }}{{ ns.zz }}| {{ ns.zz is defined }}
{% set x, ns.y = 1, 2 %}
{{ [1,2,3][1:] + [4] }} {{ [[1,2],[3]]|sum(start=[]) }} {{ (1,2) + (3,) }} {{ {'a':1} == {'a':1.0} }} {{ 'a' 'b' ~ 'c' }}""".split("\n")
CONSTRUCTS += [
    "  {% if t %}\n    a\n  {% endif %}\n  b\n",
    "x {% if t %}\ny\n{% endif %}\n\nz\n\n",
    "{{ s }}\n{{ n }}\n",
    "line\r\nnext\r{% if t %}\r\nx{% endif %}",
    "  {# c #}\n  text {# d #}\n{#- e -#}\n  end",
    "a\n  {%- if t %}\n  b\n  {%- endif %}\n",
    "  {%+ if t %}x{% endif %}\n  {{- s }}\n",
    "\t{% raw %}\n  {{ a }}\n  {% endraw %}\nb",
    "{% for x in lst -%}\n  {{ x }}\n{%- endfor %}\n",
    "{{ {'a': {'b': 1}}['a']['b'] }}{{ {'x': '}}'} }}",
    "{% set q = '%}' %}{{ q }}",
    "{{ '{{ x }}' }}{% if '{% if %}' %}ok{% endif %}",
    "{#\n multi\n#}{{ 1 }}\n\n\n",
    "{% if t -%}\n\n   x\n\n   {%- else -%}  y {%- endif +%}\n z",
]
# Attributes and methods beyond the usual ones.
CONSTRUCTS += r"""{{ s.encode is defined }} {{ s.encode.x is defined }} {{ s|attr('translate') is callable }}
{{ missing.__class__ is defined }}{{ missing.__len__ }}|{{ missing|attr('__foo__') }}|
{{ missing.foo }}
{{ range(4).index(2) }} {{ range(1, 9, 3).count(4) }} {{ range(4).count('a') }} {{ range(4).index(2.0) }}
{{ range(4).index(9) }}
{{ n.bit_count() }} {{ n.conjugate() }} {{ (-7).bit_count() }} {{ f.conjugate() }} {{ n.as_integer_ratio() }}
{{ d.fromkeys('ab', 1) }} {{ d.keys().isdisjoint(['zz']) }} {{ d.items().mapping.a }}
{% set j = joiner('-') %}{{ j.sep }}{{ j.used }}{{ j() }}{{ j.used }}
{{ 'ab'|safe|list }} {% for c in '<b>'|e %}{{ [c] }}{% endfor %} {{ ['ab'|safe|first, 'ab'|safe|last, 'ba'|safe|min] }}
{{ [('a b'|safe).title(), 'a b'|safe|title] }} {{ [('<'|e).join([1, '>']), ('x'|safe).ljust(3, 0)] }}
{{ ('<i>%s %r %d</i>'|safe) % ('<b>', '<', '7') }} {{ ('<i>{} {!r}</i>'|safe).format('<b>', '<') }}
{{ ('%x'|safe) % 7 }}
{{ ('{:>5}'|safe).format('a'|safe) }}
{{ missing|last is defined }} {{ missing|reverse|list }} {{ ()|last|last is defined }}
{{ lst|sort('yes') }}
{{ d|dictsort(reverse='yes') }}
{{ 'x'|int('none', 'base') }} {{ -0.0|round(method='floor') }} {{ ''|wordwrap(missing) }}|{{ '  two'|wordwrap(1) }}
{{ d.keys() == d.keys() }} {{ d.items() == {'a': 1}.items() }} {{ d.values() == d.values() }} {{ d.values() in {} }}
{{ f is sameas f }} {{ n is sameas n }} {{ range(9)[1:2:5] }} {{ range(9)[7:2:-2] }}
{{ 'a\nb'.splitlines('yes') }}
{{ 'straße'.casefold() }} {{ 'ΑΣ ΣΑ'.title() }} {{ 'ὈΔΟΣ'.capitalize() }} {{ 'aΣ'.swapcase() }} {{ 'ΐ ﬁ'|upper }} {{ 'ǆ'.title() }}
{{ '一'.isnumeric() }}{{ '፩'.isdigit() }}{{ 'ǅ'.istitle() }}{{ 'ǅ'.islower() }}{{ '℘'.isidentifier() }}{{ 'a·b'.isidentifier() }}
{{ '\x7f'|tojson(ensure_ascii=true) }}{{ '{x}'.format_map(d) if false }}{{ 'plain'.format_map([]) }}
{{ '{:>09}'.format(-3) }} {{ '{:05}'.format('a') }} {{ '{:09,}'.format(12345) }} {{ '{:_x}'.format(123456789) }} {{ '{:5c}|'.format(65) }}
{{ '{:.3}'.format(123.0) }} {{ '{:.3}'.format(12.0) }} {{ '{:#.3g}'.format(100.0) }} {{ '{:#}'.format(1e22) }} {{ '{:z.1f}'.format(-0.01) }}
{{ '{:#.0f} {:012,.2f} {:=+9_}'.format(3.0, 1234.5, 0.1) }} {{ '%#.0g' % 1 }} {{ '{:n}'.format(1e-7) }}
{{ '{:,x}'.format(5) }}
{{ '{:+c}'.format(65) }}
{{ '{:+}'.format('a') }}""".split("\n")
# A name that a frame assigns belongs to it from its start.
CONSTRUCTS += [
    "{% for i in lst %}{{ n }}{% endfor %}{% set n = 8 %}{{ n }}",
    "{{ n }}{% for i in lst %}{{ n }}{% endfor %}{% set n = 8 %}",
    "{% set n %}{{ n }}!{% endset %}{{ n }}",
    "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 8 %}{{ m() }}",
    "{% if t %}{% set n = 8 %}{% endif %}{% for i in lst %}{{ n }}{% endfor %}",
    "{% if s == 'no' %}{% set n = 8 %}{% endif %}{% for i in lst %}{{ n }}{% endfor %}",
    "{% with %}{{ n }}{% endwith %}{% filter upper %}{{ s }}{% endfilter %}{% set n, s = 1, 2 %}",
    "{% for i in lst if n %}{{ i }}{% else %}{{ s }}{% endfor %}{% set n, s = 1, 2 %}",
    "{% for i in lst %}{{ n }}{% set n = i %}{{ n }} {% endfor %}{{ n }}",
    "{% for i in lst %}{% for j in lst %}{{ n }}{% endfor %}{% set n = i %}{% endfor %}",
    "{% for i in lst %}{{ range(1) }}{% endfor %}{% set range = 3 %}",
    "{% generation %}{{ n }}{% endgeneration %}{% set n = 2 %}{{ n }}",
    "{% block a %}{{ n }}{% set s = 'x' %}{% endblock %}{% set n = 2 %}{% block b scoped %}{{ n }}{{ s }}{% endblock %}",
    "{% macro m(n=n) %}[{{ n }}]{% endmacro %}{{ m() }}{{ m(1) }}",
    "{% macro m(p=q, q=2) %}[{{ p }}{{ q }}]{% endmacro %}{{ m() }}{{ m(q=5) }}{{ m(1) }}",
    "{% filter length %}abc{% endfilter %}",
    "{% macro m(a, b=1) %}{{ m.arguments }}{% endmacro %}{{ m() }}",
    "{% for i in lst %}{{ loop|length }}{{ loop|count }}{% endfor %}",
    "a{#",
    "a{% raw %}",
    "a{% raw %}b",
]
