r"""Whole chat templates for tools/golden_template.py. They are our own; each works with the means that
one kind of model's templates works with (named in the comment), not with its words or its layout."""

FAMILIES = {}

# Headers and ends around every turn, the date, tools as indented JSON, one call a turn.
FAMILIES["headers"] = r"""{%- macro turn(name) -%}
[[{{ name }}]]{{ "\n" }}{{ caller() | trim }}[[/]]
{%- endmacro %}
{{- bos_token }}
{%- set today = date_string if date_string is defined else strftime_now("%d %b %Y") %}
{%- set first, rest = ("", messages) %}
{%- if messages and messages[0].role == "system" %}
    {%- set first, rest = (messages[0]["content"] | trim, messages[1:]) %}
{%- endif %}
{%- call turn("system") %}
    {{- "Date: " ~ today ~ "\n" }}
    {%- for name in builtin_tools | default([]) | reject("equalto", "python") %}
        {{- loop.index ~ ". " ~ name ~ "\n" }}
    {%- endfor %}
    {%- for tool in tools or [] %}
        {{- tool | tojson(indent=4) ~ "\n\n" }}
    {%- endfor %}
    {{- first }}
{%- endcall %}
{%- for m in rest %}
    {%- if m.tool_calls %}
        {%- if m.tool_calls | length > 1 %}{{ raise_exception("only one call in a turn") }}{% endif %}
        {%- set wanted = m.tool_calls[0].function %}
        {%- call turn("assistant") %}{"name": {{ wanted.name | tojson }}, "with": {{ wanted.arguments | tojson }}}{% endcall %}
    {%- elif m.role in ["tool", "ipython"] %}
        {%- call turn("result") %}{{ m.content if m.content is string else m.content | tojson }}{% endcall %}
    {%- else %}
        {%- call turn(m.role) %}{{ m.content }}{% endcall %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ "[[assistant]]\n" }}{% endif %}
"""

# Users and assistants that must alternate, tools before the last question, ids of a fixed length.
FAMILIES["brackets"] = r"""{%- set turns = messages %}
{%- if turns[0].role == "system" %}{%- set preface = turns[0].content %}{%- set turns = turns[1:] %}{%- endif %}
{%- set count = namespace(spoken=0) %}
{%- for m in turns if m.role != "tool" and not m.tool_calls %}
    {%- if (count.spoken % 2 == 1) == (m.role == "user") %}
        {{- raise_exception("turn " ~ loop.index ~ " has the wrong role: " ~ m.role) }}
    {%- endif %}
    {%- set count.spoken = count.spoken + 1 %}
{%- endfor %}
{%- set asked = turns | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for m in turns %}
    {%- if m.role == "user" %}
        {%- if tools and m is sameas asked[-1] %}
            {{- "<T>[" }}
            {%- for f in tools | map(attribute="function") %}
                {{- ", " if not loop.first }}{{- "{" }}
                {%- for key, value in f.items() if key != "parameters" or value.properties %}
                    {{- '"' ~ key ~ '": ' ~ (value | tojson if value is not string else '"' ~ value ~ '"') }}
                    {{- "" if loop.last else ", " }}
                {%- endfor %}
                {{- "}" }}
            {%- endfor %}
            {{- "]</T>" }}
        {%- endif %}
        {{- "<Q>" ~ (preface ~ "\n\n" if preface is defined and loop.last else "") ~ m.content ~ "</Q>" }}
    {%- elif m.tool_calls is defined and m.tool_calls is not none %}
        {{- "<C>[" }}
        {%- for c in m.tool_calls %}
            {%- if c.id | default("") | length != 9 %}{{ raise_exception("an id has nine characters") }}{% endif %}
            {{- (c.function | tojson)[:-1] ~ ', "id": "' ~ c.id ~ '"}' ~ ("]" if loop.last else ", ") }}
        {%- endfor %}
        {{- "</C>" ~ eos_token }}
    {%- elif m.role == "tool" %}
        {%- set body = m.content.content if m.content.content is defined else m.content %}
        {{- '<R>{"content": ' ~ body ~ ', "id": "' ~ m.tool_call_id ~ '"}</R>' }}
    {%- else %}
        {{- m["content"] | trim ~ eos_token }}
    {%- endif %}
{%- endfor %}
"""

# Thoughts that are kept behind the last question only, results that share a turn.
FAMILIES["thoughts"] = r"""{%- set latest = namespace(question=-1) %}
{%- for m in messages %}
    {%- if m.role == "user" and m.content is string and not m.content.startswith("<out>") %}
        {%- set latest.question = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- set system = messages[0].content if messages and messages[0].role == "system" else none %}
{%- if tools or system is not none %}
    {{- "(system)\n" ~ (system or "") }}
    {%- if tools %}
        {{- "\nFunctions:" }}
        {%- for tool in tools %}{{ "\n" }}{{ tool | tojson }}{% endfor %}
    {%- endif %}
    {{- "\n(end)\n" }}
{%- endif %}
{%- for m in messages %}
    {%- set said = m.content if m.content is string else "" %}
    {%- if m.role == "tool" %}
        {{- "(user)" if loop.previtem is undefined or loop.previtem.role != "tool" }}
        {{- "\n<out>\n" ~ said ~ "\n</out>" }}
        {{- "(end)\n" if loop.nextitem is undefined or loop.nextitem.role != "tool" }}
    {%- elif m.role == "assistant" %}
        {%- set why = m.reasoning_content | default("", true) %}
        {%- if not why and "</think>" in said %}
            {%- set before, _, after = said.partition("</think>") %}
            {%- set why, said = (before.split("<think>")[-1].strip("\n"), after.lstrip("\n")) %}
        {%- endif %}
        {{- "(assistant)\n" }}
        {%- if why and loop.index0 > latest.question %}{{ "<think>\n" ~ why ~ "\n</think>\n\n" }}{% endif %}
        {{- said }}
        {%- for c in m.tool_calls or [] %}
            {%- set c = c.function or c %}
            {{- "\n" if said or not loop.first }}
            {{- '<call>{"name": "' ~ c.name ~ '", "arguments": ' }}
            {{- c.arguments if c.arguments is string else c.arguments | tojson }}
            {{- "}</call>" }}
        {%- endfor %}
        {{- "(end)\n" }}
    {%- elif m.role != "system" or not loop.first %}
        {{- "(" ~ m.role ~ ")\n" ~ said ~ "(end)\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "(assistant)\n" }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ "<think>\n\n</think>\n\n" }}{% endif %}
{%- endif %}"""

# A system text inside the first question, pictures among the parts, spaces kept by signs.
FAMILIES["parts"] = r"""{{ bos_token }}
{%- set prefix = namespace(text="") -%}
{%- for m in messages -%}
    {%- if m["role"] == "system" and loop.first -%}
        {%- set prefix.text = (m.content if m.content is string else m.content[0].text) ~ "\n\n" -%}
        {%- continue -%}
    {%- endif -%}
    {{ "<" ~ {"assistant": "model"}.get(m.role, m.role) ~ ">\n" ~ prefix.text }}
    {%- set prefix.text = "" -%}
    {%- if m.content is string -%}
        {{ m.content | trim }}
    {%- elif m.content is iterable -%}
        {%- for part in m.content -%}
            {%- if part.type == "image" -%} {{ "<picture " ~ loop.index ~ ">" }} {%- else -%} {{ part["text"] | trim }} {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("no content in message " ~ loop.index0) }}
    {%- endif -%}
    {{ "</>\n" }}
{%- endfor -%}
{{ "<model>\n" if add_generation_prompt -}}
"""

# Macros that call themselves and each other: schemas of tools as types of a language.
FAMILIES["types"] = r"""{%- macro type_of(schema, depth=0) -%}
    {%- if schema.enum -%}
        {{- '"' ~ schema.enum | join('" | "') ~ '"' -}}
    {%- elif schema.type is sequence and schema.type is not string -%}
        {{- schema.type | join(" | ") -}}
    {%- elif schema.type == "array" -%}
        {%- set inner = type_of(schema["items"] or {}, depth + 1) -%}
        {{- "(" ~ inner ~ ")[]" if " " in inner else inner ~ "[]" -}}
    {%- elif schema.type == "object" and schema.properties -%}
        {{- "{\n" }}{{ fields(schema, depth + 1) }}{{ "  " * depth ~ "}" -}}
    {%- elif schema.type in ["integer", "number"] -%}
        number
    {%- else -%}
        {{- schema.type | default("any", true) -}}
    {%- endif -%}
    {%- if schema.nullable %}{{ " | null" }}{% endif -%}
{%- endmacro -%}
{%- macro fields(schema, depth) -%}
    {%- for name, field in schema.properties.items() -%}
        {%- if field.description %}{{ "  " * depth ~ "// " ~ field.description ~ "\n" }}{% endif -%}
        {{- "  " * depth ~ name ~ ("" if name in schema.required | default([]) else "?") ~ ": " ~ type_of(field, depth) -}}
        {%- if field.default is defined %}{{ " = " ~ (field.default | tojson) }}{% endif -%}
        {{- ",\n" -}}
    {%- endfor -%}
{%- endmacro -%}
{%- macro channel(role, name="", end="<|end|>") -%}
    {{- "<|" ~ role ~ ("/" ~ name if name else "") ~ "|>" ~ caller() ~ end -}}
{%- endmacro -%}
{%- set effort = reasoning_effort if reasoning_effort is defined else "medium" -%}
{%- call channel("system") %}Effort: {{ effort }}. Today: {{ strftime_now("%Y-%m-%d") }}.{% if builtin_tools %} Built in: {{ builtin_tools | sort | join(", ") }}.{% endif %}{% endcall -%}
{%- if tools -%}
    {%- call channel("developer") -%}
        {%- for tool in tools -%}
            {%- set f = tool.function -%}
            {{- "\n// " ~ f.description | replace("\n", "\n// ") ~ "\ntype " ~ f.name ~ " = (" -}}
            {{- "_: " ~ type_of(f.parameters) if f.parameters and f.parameters.properties -}}
            {{- ") => any;\n" -}}
        {%- endfor -%}
    {%- endcall -%}
{%- endif -%}
{%- set last = namespace(tool=none) -%}
{%- for m in messages -%}
    {%- if m.tool_calls -%}
        {%- set last.tool = m.tool_calls[0].function.name -%}
        {%- if m.thinking -%}{%- call channel("assistant", "analysis") %}{{ m.thinking }}{% endcall -%}{%- endif -%}
        {%- call channel("assistant", "to=" ~ last.tool, "<|call|>") %}{{ m.tool_calls[0].function.arguments | tojson }}{% endcall -%}
    {%- elif m.role == "tool" -%}
        {%- if last.tool is none %}{{ raise_exception("a result without a call") }}{% endif -%}
        {%- call channel(last.tool) %}{{ m.content | tojson }}{% endcall -%}
    {%- elif m.role == "assistant" -%}
        {%- if loop.last and m.thinking %}{% call channel("assistant", "analysis") %}{{ m.thinking }}{% endcall %}{% endif -%}
        {%- generation -%}{%- call channel("assistant", "final", "<|end|>" if not loop.last else "<|return|>") %}{{ m.content }}{% endcall -%}{%- endgeneration -%}
    {%- else -%}
        {%- call channel(m.role) %}{{ m.content }}{% endcall -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ "<|assistant|>" }}{% endif -%}
"""

# All in one line, with a state that the messages change.
FAMILIES["states"] = r"""{% if add_generation_prompt is not defined %}{% set add_generation_prompt = false %}{% endif %}{% set s = namespace(open=false, head='') %}{% for m in messages if m.role == 'system' %}{% set s.head = s.head ~ ('\n\n' if not loop.first else '') ~ m.content %}{% endfor %}{{ bos_token ~ s.head }}{% for m in messages %}{% if m['role'] == 'user' %}{% set s.open = false %}{{ '|U|' ~ m['content'] }}{% elif m['role'] == 'tool' %}{{ ('|R|' if s.open else '|R<|') ~ m['content'] }}{% set s.open = true %}{% elif m['role'] == 'assistant' %}{% if s.open %}{{ '|>R|' }}{% set s.open = false %}{% endif %}{% if m['tool_calls'] is defined and m['tool_calls'] %}{% for c in m['tool_calls'] %}{{ ('|A|' ~ (m['content'] or '') if loop.first else '\n') + '|C|' + c['type'] + '|' + c['function']['name'] + '\n```json\n' + (c['function']['arguments'] if c['function']['arguments'] is string else c['function']['arguments']|tojson) + '\n```' }}{% endfor %}{{ eos_token }}{% else %}{% set text = m['content'] %}{% if '</think>' in text %}{% set text = text.split('</think>', 1)[1] %}{% endif %}{{ '|A|' ~ text ~ eos_token }}{% endif %}{% endif %}{% endfor %}{% if s.open %}{{ '|>R|' }}{% elif add_generation_prompt %}{{ '|A|<think>\n' }}{% endif %}"""

# Arguments as tags, one by one; values of many kinds as text.
FAMILIES["tags"] = r"""{% macro tag(name, value) %}
<{{ name }}>{{ value if value is string else value | tojson(ensure_ascii=true) }}</{{ name }}>
{% endmacro %}
{% macro describe(schema) %}
{% for key in schema | list | sort %}
{% if key == "properties" %}
{% for name, inner in schema[key] | dictsort %}
<property>
{{ tag("name", name) -}}
{{ describe(inner) | indent(2, first=true) -}}
</property>
{% endfor %}
{% elif key not in ("required", "description") %}
{{ tag(key, schema[key]) -}}
{% endif %}
{% endfor %}
{% endmacro %}
{% if tools is iterable and tools | length > 0 %}
<tools>
{% for tool in tools %}
{% set f = tool.function | default(tool) %}
{{ tag("name", f.name) }}{{ tag("about", f.description | trim) }}{{ describe(f.parameters) }}
{%- endfor %}
</tools>
{% endif %}
{% for m in messages %}
{{ "%s:" % m.role | upper }} {% if m.content is string %}{{ m.content | trim }}{% elif m.content %}{{ m.content | selectattr("type", "eq", "text") | map(attribute="text") | join(" + ") }}{% endif %}

{% for c in m.tool_calls | default([], true) %}
<call name="{{ c.function.name }}" id="{{ c.id }}">
{% if c.function.arguments is mapping %}
{% for name, value in c.function.arguments | items %}
{{ tag(name, value) -}}
{% endfor %}
{% else %}
{{ c.function.arguments }}
{% endif %}
</call>
{% endfor %}
{% else %}
nothing was said
{% endfor %}
{{ "ASSISTANT:" if add_generation_prompt and (messages | last).role != "assistant" -}}
"""
