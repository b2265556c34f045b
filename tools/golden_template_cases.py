"""The templates and variables of tools/golden_template.py: one small template for each construct,
and whole chat templates written in the styles of well-known model families."""

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

FAMILIES = {}
FAMILIES["llama2"] = """{% if messages and messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate!') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""
FAMILIES["llama3"] = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- The system text comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start|>assistant<|end|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start|>ipython<|end|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""
FAMILIES["mistral"] = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("ids have nine characters!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[RESULTS] {"content": ' + content|string + ", " }}
        {{- '"id": "' + message.tool_call_id + '"}[/RESULTS]' }}
    {%- else %}
        {{- raise_exception("unknown role") }}
    {%- endif %}
{%- endfor %}
"""
FAMILIES["qwen3"] = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<r>\\n' }}{{- content }}{{- '\\n</r>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
FAMILIES["gemma"] = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must alternate") }}
    {%- endif -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<turn>' + role + '\\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '</turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<turn>model\\n'}}{%- endif -%}
"""
FAMILIES["gpt_oss"] = """{%- macro render_type(spec, required, is_null=false) -%}
    {%- if spec.type == "array" -%}
        {%- if spec['items'] -%}
            {%- if spec['items'].type in ["string", "number", "integer", "boolean"] -%}
                {{- spec['items'].type }}[]
            {%- else -%}
                {%- set inner = render_type(spec['items'], required) -%}
                {%- if inner == "object | object" or inner|length > 50 -%}
                    {{- "any[]" }}
                {%- else -%}
                    {{- inner + "[]" }}
                {%- endif -%}
            {%- endif -%}
        {%- else -%}
            {{- "any[]" }}
        {%- endif -%}
        {%- if spec.nullable -%}{{- " | null" }}{%- endif -%}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping and spec.type[0] is defined -%}
        {%- if spec.type | length > 1 -%}{{- spec.type | join(" | ") }}{%- else -%}{{- spec.type[0] }}{%- endif -%}
    {%- elif spec.oneOf -%}
        {%- for variant in spec.oneOf -%}
            {{- render_type(variant, required) -}}
            {%- if not loop.last %}{{- " | " }}{% endif -%}
        {%- endfor -%}
    {%- elif spec.type == "string" -%}
        {%- if spec.enum -%}{{- '"' + spec.enum|join('" | "') + '"' -}}{%- else -%}{{- "string" }}{%- endif -%}
    {%- elif spec.type == "number" or spec.type == "integer" -%}
        {{- "number" }}
    {%- elif spec.type == "object" -%}
        {%- if spec.properties -%}
            {{- "{\\n" }}
            {%- for name, prop in spec.properties.items() -%}
                {{- name -}}
                {%- if name not in (spec.required or []) -%}{{- "?" }}{%- endif -%}
                {{- ": " }}
                {{ render_type(prop, spec.required or []) }}
                {%- if not loop.last -%}{{-", " }}{%- endif -%}
            {%- endfor -%}
            {{- "}" }}
        {%- else -%}
            {{- "object" }}
        {%- endif -%}
    {%- else -%}
        {{- "any" }}
    {%- endif -%}
{%- endmacro -%}
{%- macro render_tools(tools) -%}
    {{- "namespace functions {\\n\\n" }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- "// " + tool.description + "\\n" }}
        {{- "type "+ tool.name + " = " }}
        {%- if tool.parameters and tool.parameters.properties %}
            {{- "(_: {\\n" }}
            {%- for name, spec in tool.parameters.properties.items() %}
                {%- if spec.description %}{{- "// " + spec.description + "\\n" }}{%- endif %}
                {{- name }}
                {%- if name not in (tool.parameters.required or []) %}{{- "?" }}{%- endif %}
                {{- ": " }}
                {{- render_type(spec, tool.parameters.required or []) }}
                {%- if spec.default is defined %}
                    {%- if spec.enum %}
                        {{- ", // default: " + spec.default }}
                    {%- else %}
                        {{- ", // default: " + spec.default|tojson }}
                    {%- endif %}
                {%- endif %}
                {{- ",\\n" if not loop.last else "\\n" }}
            {%- endfor %}
            {{- "}) => any;\\n\\n" }}
        {%- else %}
            {{- "() => any;\\n\\n" }}
        {%- endif %}
    {%- endfor %}
    {{- "} // namespace functions" }}
{%- endmacro -%}
{%- macro system() -%}
    {{- "Date: " + strftime_now("%Y-%m-%d") + "\\n" }}
    {%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}
    {{- "Reasoning: " + reasoning_effort + "\\n" }}
{%- endmacro -%}
{%- set last_tool_call = namespace(name=none) %}
{{- "<|start|>system<|message|>" }}{{- system() }}{{- "<|end|>" }}
{%- if messages[0].role == "developer" or messages[0].role == "system" %}
    {%- set developer_message = messages[0].content %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set developer_message = "" %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if developer_message or tools %}
    {{- "<|start|>developer<|message|>" }}
    {%- if developer_message %}{{- "# Instructions\\n\\n" + developer_message + "\\n\\n" }}{%- endif %}
    {%- if tools -%}{{- "# Tools\\n\\n" }}{{- render_tools(tools) }}{%- endif -%}
    {{- "<|end|>" }}
{%- endif %}
{%- for message in loop_messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "content" in message and message.content is string and "<|channel|>final" in message.content %}
            {{- raise_exception("channel tags in content") }}
        {%- endif %}
        {%- if "tool_calls" in message %}
            {%- set future_final_message = namespace(found=false) %}
            {%- for future_message in loop_messages[loop.index:] %}
                {%- if future_message.role == 'assistant' and "tool_calls" not in future_message %}
                    {%- set future_final_message.found = true %}
                {%- endif %}
            {%- endfor %}
            {%- set tool_call = message.tool_calls[0] %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {%- if message.content and message.thinking %}
                {{- raise_exception("both") }}
            {%- elif message.thinking and not future_final_message.found %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
            {%- endif %}
            {{- "<|start|>assistant to=" }}
            {{- "functions." + tool_call.name + "<|channel|>commentary " }}
            {{- (tool_call.content_type if tool_call.content_type is defined else "json") + "<|message|>" }}
            {{- tool_call.arguments|tojson }}
            {{- "<|call|>" }}
            {%- set last_tool_call.name = tool_call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {%- if "thinking" in message %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
            {%- endif %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|return|>" }}
        {%- else %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
            {%- set last_tool_call.name = none %}
        {%- endif %}
    {%- elif message.role == 'tool' -%}
        {%- if last_tool_call.name is none %}{{- raise_exception("no call before") }}{%- endif %}
        {{- "<|start|>functions." + last_tool_call.name }}
        {{- " to=assistant<|message|>" + message.content|tojson + "<|end|>" }}
    {%- elif message.role == 'user' -%}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}
"""
FAMILIES["deepseek"] = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=true, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{% set content = message['content'] %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<U>' ~ content}}{%- endif %}{%- if message['role'] == 'assistant' %}{% if content is not none and '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{%- if 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}{%- if loop.first %}{{'<A><calls><call>' + tool['type'] + '<sep>' + tool['function']['name'] + '\\n```json\\n' + tool['function']['arguments']|tojson + '\\n```<end>'}}{%- else %}{{'\\n<call>'}}{%- endif %}{%- endfor %}{{'<end_calls>'}}{%- else %}{%- if ns.is_tool %}{{'<end_out>' + content + eos_token}}{%- set ns.is_tool = false -%}{%- else %}{{'<A>' + content + eos_token}}{%- endif %}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<outs><out>' + message['content'] + '<out_end>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\\n<out>' + message['content'] + '<out_end>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<outs_end>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<A><think>\\n'}}{% endif %}"""
FAMILIES["glm"] = """[gMASK]<sop>
{%- if tools -%}
<|system|>
# Tools
{% for tool in tools %}
{{ tool | tojson(ensure_ascii=False) }}
{% endfor %}
</tools>{%- endif -%}
{%- macro visible_text(content) -%}
    {%- if content is string -%}
        {{- content }}
    {%- elif content is iterable and content is not mapping -%}
        {%- for item in content -%}
            {%- if item is mapping and item.type == 'text' -%}
                {{- item.text }}
            {%- elif item is string -%}
                {{- item }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{- content }}
    {%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(last_user_index=-1) %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{% set ns.last_user_index = loop.index0 -%}{%- endif %}
{%- endfor %}
{% for m in messages %}
{%- if m.role == 'user' -%}<|user|>
{{ visible_text(m.content) }}
{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not visible_text(m.content).endswith("/nothink")) else '' -}}
{%- elif m.role == 'assistant' -%}
<|assistant|>
{%- set reasoning_content = '' %}
{%- set content = visible_text(m.content) %}
{%- if m.reasoning_content is string %}
    {%- set reasoning_content = m.reasoning_content %}
{%- elif '</think>' in content %}
    {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
    {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{%- if loop.index0 > ns.last_user_index and reasoning_content -%}
{{ '\\n<think>' + reasoning_content.strip() +  '</think>'}}
{%- else -%}
{{ '\\n<think></think>' }}
{%- endif -%}
{%- if content.strip() -%}
{{ '\\n' + content.strip() }}
{%- endif -%}
{% if m.tool_calls %}
{% for tc in m.tool_calls %}
{%- if tc.function %}{%- set tc = tc.function %}{%- endif %}
{{ '\\n<tool_call>' + tc.name }}
{% set _args = tc.arguments %}
{% if _args is mapping %}{% for k, v in _args.items() %}
<arg_key>{{ k }}</arg_key>
<arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>
{% endfor %}{% endif %}
</tool_call>{% endfor %}
{% endif %}
{%- elif m.role == 'tool' -%}
{%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
    {{- '<|observation|>' }}
{%- endif %}
{{- '\\n<out>\\n' }}{{- m.content }}{{- '\\n</out>' }}
{%- elif m.role == 'system' -%}
<|system|>
{{ visible_text(m.content) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    <|assistant|>{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}
{%- endif -%}
"""
FAMILIES["kimi"] = """{%- macro render_content(msg) -%}
    {%- set c = msg.get('content') -%}
    {%- if c is string -%}
      {{ c }}
    {%- elif c is not none -%}
      {% for content in c -%}
        {% if content['type'] == 'image' or 'image' in content or 'image_url' in content -%}
          <|media|>
        {% else -%}
          {{ content['text'] }}
        {%- endif -%}
      {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
  <|sys|>tools<|mid|>{{ tools | tojson(separators=(',', ':')) }}<|end|>
{%- endif -%}
{% for message in messages %}
  {%- if loop.first and messages[0]['role'] != 'system' -%}
  <|sys|>system<|mid|>You are helpful.<|end|>
  {%- endif -%}
  {%- set role_name = message.get('name') or message['role'] -%}
  {%- if message['role'] == 'user' -%}
    <|user|>{{role_name}}<|mid|>
  {%- elif message['role'] == 'assistant' -%}
    <|asst|>{{role_name}}<|mid|>
  {%- else -%}
    <|sys|>{{role_name}}<|mid|>
  {%- endif -%}
  {%- if message['role'] == 'assistant' and message.get('tool_calls') -%}
    {{render_content(message)}}<|calls|>
    {%- for tool_call in message['tool_calls'] -%}
    {%- set formatted_id = tool_call['id'] -%}
    <|call|>{{ formatted_id }}<|args|>{% if tool_call['function']['arguments'] is string %}{{ tool_call['function']['arguments'] }}{% else %}{{ tool_call['function']['arguments'] | tojson }}{% endif %}<|end_call|>
    {%- endfor -%}
    <|end_calls|>
  {%- elif message['role'] == 'tool' -%}
    {%- set tool_call_id = message.tool_call_id -%}
    ## Return of {{ tool_call_id }}
{{render_content(message)}}
  {%- elif message['content'] is not none -%}
    {{render_content(message)}}
  {%- endif -%}
  <|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
  <|asst|>assistant<|mid|>
{%- endif -%}
"""
FAMILIES["phi"] = """{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + (message['content'] if message['content'] is string else message['content']|tojson) + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"""
FAMILIES["minimax"] = """{%- set begin = ']~b]' -%}
{%- macro render_tool(tool) -%}<tool>{{ tool.function | tojson(ensure_ascii=False) }}</tool>{%- endmacro -%}
{%- macro namespaced(kind, list) -%}
{{- '<' ~ kind ~ '>\\n' }}{%- for tool in list -%}{{ render_tool(tool) ~ '\\n' }}{%- endfor -%}{{ '</' ~ kind ~ '>' -}}
{%- endmacro -%}
{%- set ns = namespace(last_user_index=-1, last_tool=none) %}
{%- for m in messages %}{%- if m.role == 'user' %}{% set ns.last_user_index = loop.index0 -%}{%- endif %}{%- endfor %}
{{- begin ~ 'system' ~ '\\n' }}
{%- if messages and messages[0].role == 'system' %}{{ messages[0].content | trim }}{% endif %}
{%- if tools %}{{ '\\n\\n# Tools\\n' ~ namespaced('tools', tools) }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- begin ~ 'ai' ~ '\\n' }}
{%- if message.reasoning_content is string and loop.index0 > ns.last_user_index %}{{ '<think>\\n' ~ message.reasoning_content ~ '\\n</think>\\n\\n' }}{% endif %}
{%- if message.content %}{{ message.content }}{% endif %}
{%- for tool_call in message.tool_calls or [] %}
{%- set tool_call = tool_call.function or tool_call %}
{{- '<invoke name="' + tool_call.name + '">' }}
{%- set _args = tool_call.arguments %}
{%- if _args is mapping %}{%- for k, v in _args|items %}
{{- '<parameter name="' + k + '">' }}{{- v | tojson(ensure_ascii=False) if v is not string else v }}{{- '</parameter>' }}
{%- endfor %}{%- endif %}
{{- '</invoke>\\n' }}
{%- set ns.last_tool = tool_call.name -%}
{%- endfor %}
{{- '[e~[\\n' }}
{%- elif message.role == 'tool' %}
{%- if ns.last_tool is none %}{{- raise_exception("no call before the result") }}{%- endif %}
{{- begin ~ 'tool\\n<response>' ~ (message.content if message.content is string else message.content|map(attribute='text')|join) ~ '</response>' }}
{%- elif message.role == 'user' %}
{{- begin ~ 'user\\n' }}{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}{{ part.text if part.type == 'text' else '<' ~ part.type ~ '>' }}{% endfor %}{% endif %}
{{- '[e~[\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- begin ~ 'ai\\n<think>\\n' }}{% endif %}"""
FAMILIES["lfm2"] = """{{- bos_token -}}
{%- set system_prompt = "" -%}
{%- set ns = namespace(system_prompt="") -%}
{%- if messages[0]["role"] == "system" -%}
    {%- set ns.system_prompt = messages[0]["content"] -%}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- if tools -%}
    {%- set ns.system_prompt = ns.system_prompt + ("\\n" if ns.system_prompt else "") + "List of tools: <|list|>[" -%}
    {%- for tool in tools -%}
        {%- if tool is not string -%}{%- set tool = tool | tojson -%}{%- endif -%}
        {%- set ns.system_prompt = ns.system_prompt + tool -%}
        {%- if not loop.last -%}{%- set ns.system_prompt = ns.system_prompt + ", " -%}{%- endif -%}
    {%- endfor -%}
    {%- set ns.system_prompt = ns.system_prompt + "]<|list_end|>" -%}
{%- endif -%}
{%- if ns.system_prompt -%}{{- "<|im_start|>system\\n" + ns.system_prompt + "<|im_end|>\\n" -}}{%- endif -%}
{%- for message in messages -%}
    {{- "<|im_start|>" + message["role"] + "\\n" -}}
    {%- set content = message["content"] -%}
    {%- if content is not string -%}{%- set content = content | tojson -%}{%- endif -%}
    {%- if message["role"] == "tool" -%}{%- set content = "<|tr|>" + content + "<|tr_end|>" -%}{%- endif -%}
    {%- if message["role"] == "assistant" -%}
        {%- generation -%}{{ content + "<|im_end|>\\n" }}{%- endgeneration -%}
    {%- else -%}
        {{- content + "<|im_end|>\\n" -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\\n" -}}{%- endif -%}
"""

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
    "a{#",
    "a{% raw %}",
    "a{% raw %}b",
]
