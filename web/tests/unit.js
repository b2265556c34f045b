// Tests of the modules, run by tools/check_web.py in the browser; `window.results` has the
// failures.
import {addChunk, apiMessages, emptyAnswer, partsOf, prettyArguments, splitThoughts, statsOf} from '../answer.js';
import {linePath, niceTop} from '../chart.js';
import {highlight} from '../highlight.js';
import {bucketsOf, quantile, since} from '../histogram.js';
import {parseInline, safeUrl} from '../inline.js';
import {seriesValue} from '../load.js';
import {parseMarkdown} from '../markdown.js';
import {findFamily, parseMetrics, total} from '../prometheus.js';
import {renderMarkdown} from '../render.js';
import {numberProblem, parseTools, requestFields} from '../settings.js';
import {SseParser} from '../sse.js';
import {conversation, newConversation, Store, titleOf} from '../store.js';

const failures = [];
let checks = 0, current = '';
function equal(got, expected, about = '') {
  ++checks;
  const a = JSON.stringify(got), b = JSON.stringify(expected);
  if (a !== b) failures.push(`${current} ${about}: got ${a}, expected ${b}`);
}
const tests = {};

function shown(text) {
  const box = document.createElement('div');
  renderMarkdown(box, text);
  return box;
}
// Markup of a rendered text, without the dress of code and tables.
const html = (text) =>
    shown(text)
        .innerHTML
        .replaceAll(/ (?:target|rel|title|tabindex|role|scope|class|aria-[a-z]+)="[^"]*"/g, '')
        .replaceAll(
            /<div><span>([^<]*)<\/span><button type="button">Copy<\/button><\/div>/g, '[$1]')
        .replaceAll(/<\/?(?:div|span)>/g, '');

tests.sse = () => {
  const read = (pieces) => {
    const out = [];
    const parser =
        new SseParser(({event, data}) => out.push(event === 'message' ? data : `${event}:${data}`));
    for (const piece of pieces) parser.push(piece);
    return out;
  };
  const stream =
      '\ufeff: hi\n\ndata: {"a":\ndata:  1}\n\ndata:x\r\n\r\nevent: e\rdata: y\r\rdata\n\nid: 4\n\ndata: ü😀\n\ndata: no end';
  const expected = ['{"a":\n 1}', 'x', 'e:y', '', 'ü😀'];
  equal(read([stream]), expected, 'whole');
  equal(read([...stream]), expected, 'by characters');
  for (let cut = 1; cut < stream.length; ++cut)
    equal(read([stream.slice(0, cut), stream.slice(cut)]), expected, `cut at ${cut}`);
  // Bytes, cut inside of characters.
  const bytes = new TextEncoder().encode(stream);
  for (let size = 1; size < 9; ++size) {
    const decoder = new TextDecoder();
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size)
      pieces.push(decoder.decode(bytes.slice(at, at + size), {stream: true}));
    equal(read(pieces), expected, `bytes by ${size}`);
  }
  const long = 'y'.repeat(3_000_000);
  const start = performance.now();
  equal(
      read([
        'data: ', ...Array.from({length: 30000}, (_, i) => long.slice(i * 100, i * 100 + 100)),
        '\n\n'
      ])[0]
          .length,
      long.length);
  equal(performance.now() - start < 2000, true, 'a long line takes linear time');
};

tests.urls = () => {
  for (const good of ['https://a.b', 'http://localhost:80/x?y#z', 'HTTPS://A', 'mailto:a@b.c'])
    equal(safeUrl(good), good);
  for (const bad
           of ['javascript:1', 'JAVASCRIPT:1', 'java\tscript:1', '\u0001javascript:1',
               'data:text/html,x', 'vbscript:x', 'file:///x', 'blob:x', '//evil', '/x', '#x',
               'https:x', 'http:///x', 'ftp://x', 'https://a\u202eb', ''])
    equal(safeUrl(bad), null, bad);
};

tests.inline = () => {
  const cases = [
    [
      '*a* **b** ***c*** ~~d~~',
      '<em>a</em> <strong>b</strong> <em><strong>c</strong></em> <del>d</del>'
    ],
    [
      '_a_ __b__ snake_case_name 2*3*4',
      '<em>a</em> <strong>b</strong> snake_case_name 2<em>3</em>4'
    ],
    ['2 * 3 * 4, *open, **open', '2 * 3 * 4, *open, **open'],
    ['**a *b* c** *a **b** c*', '<strong>a <em>b</em> c</strong> <em>a <strong>b</strong> c</em>'],
    ['*foo**bar*', '<em>foo**bar</em>'],
    ['**bold**text', '<strong>bold</strong>text'],
    ['`a *b*` ``c ` d`` `open', '<code>a *b*</code> <code>c ` d</code> `open'],
    ['\\*a\\* \\\\ \\a', '*a* \\ \\a'],
    ['a\nb  \nc\\\nd<br>e', 'a<br>b<br>c<br>d<br>e'],
    ['&lt;b&gt; &amp; &#65; &#x42; &nope; &', '&lt;b&gt; &amp; A B &amp;nope; &amp;'],
    ['[a *b*](https://x.y/z "t") c', '<a href="https://x.y/z">a <em>b</em></a> c'],
    [
      '[a](https://x.y/(z)) [b](<https://x.y>)',
      '<a href="https://x.y/(z)">a</a> <a href="https://x.y">b</a>'
    ],
    ['[a](javascript:x) [b] [c](d', 'a [b] [c](d'],
    ['![pic](https://x.y/p.png)', '<a href="https://x.y/p.png">pic</a>'],
    [
      '<https://x.y> see https://x.y/a_b_c. (https://x.y/q)',
      '<a href="https://x.y">https://x.y</a> see <a href="https://x.y/a_b_c">https://x.y/a_b_c</a>. (<a href="https://x.y/q">https://x.y/q</a>)'
    ],
    [
      '[[a](https://x.y)](https://z)',
      '[<a href="https://x.y">a</a>](<a href="https://z">https://z</a>)'
    ],
    [
      '\\(a_1 * b_2\\) $$x*y*z$$ costs $5 and $6',
      '<code>a_1 * b_2</code> <code>x*y*z</code> costs $5 and $6'
    ],
    ['<b>x</b>', '&lt;b&gt;x&lt;/b&gt;'],
  ];
  for (const [text, expected] of cases) equal(html(text), `<p>${expected}</p>`, text);
};

tests.blocks = () => {
  const cases = [
    ['# A #\n## B\n#c\n####### d', '<h3>A</h3><h4>B</h4><p>#c<br>####### d</p>'],
    ['Title\n===\ntext\n---\nmore', '<h3>Title</h3><p>text</p><hr><p>more</p>'],
    ['```py\na < b\n```\nafter', '[py]<pre><code>a &lt; b</code></pre><p>after</p>'],
    ['````\n```\nx\n````', '[text]<pre><code>```\nx</code></pre>'],
    ['~~~\nopen', '[text]<pre><code>open</code></pre>'],
    ['    code\n\n    more\n\ntext', '[text]<pre><code>code\n\nmore</code></pre><p>text</p>'],
    [
      '> a\nb\n> > c\n\nd',
      '<blockquote><p>a<br>b</p><blockquote><p>c</p></blockquote></blockquote><p>d</p>'
    ],
    [
      '- a\n- b\n  - c\n    - d\n- e',
      '<ul><li>a</li><li>b<ul><li>c<ul><li>d</li></ul></li></ul></li><li>e</li></ul>'
    ],
    ['1. a\n  - b\n2. c', '<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>'],
    ['3. a\n4. b', '<ol start="3"><li>a</li><li>b</li></ol>'],
    [
      '1. a\n\n   ```\n   x\n   ```\n\n2. b',
      '<ol><li><p>a</p>[text]<pre><code>x</code></pre></li><li><p>b</p></li></ol>'
    ],
    ['- a\n\n- b', '<ul><li><p>a</p></li><li><p>b</p></li></ul>'],
    [
      '- [x] a\n- [ ] b',
      '<ul><li><input type="checkbox" disabled="" checked="">a</li><li><input type="checkbox" disabled="">b</li></ul>'
    ],
    ['text\n- a\nlazy\n\nnext', '<p>text</p><ul><li>a<br>lazy</li></ul><p>next</p>'],
    ['in 2020\n1984. was', '<p>in 2020<br>1984. was</p>'],
    ['* * *\n***\n- - -', '<hr><hr><hr>'],
    [
      '| a | b |\n|:-:|--:|\n| `x|y` | c \\| d |\n| 1 |\n\nend',
      '<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td><code>x|y</code></td><td>c | d</td></tr><tr><td>1</td><td></td></tr></tbody></table><p>end</p>'
    ],
    ['a | b\nno table', '<p>a | b<br>no table</p>'],
    ['\\[\nx_1 * y\n\\]\n$$a$$', '<pre>x_1 * y</pre><pre>a</pre>'],
    ['\ta', '[text]<pre><code>a</code></pre>'],
    ['a\r\n\r\nb', '<p>a</p><p>b</p>'],
    ['', ''],
    ['\n \n', ''],
    ['-', '<ul><li></li></ul>'],
    ['>', '<blockquote></blockquote>'],
    ['|', '<p>|</p>'],
    ['1.', '<ol><li></li></ol>'],
    ['```', '[text]<pre><code></code></pre>'],
  ];
  for (const [text, expected] of cases) equal(html(text), expected, text);
};

// Whatever text comes, in whatever cut: only these elements and attributes, no code, the same end.
const ELEMENTS = new Set(
    ('p h3 h4 h5 h6 hr ul ol li input blockquote pre code div span button table thead tbody tr th td ' +
     'em strong del a br')
        .split(' '));
const ATTRIBUTES = new Set(
    'class href target rel title tabindex role scope type disabled checked start aria-label'.split(
        ' '));
function inert(box, about) {
  for (const node of box.querySelectorAll('*')) {
    if (!ELEMENTS.has(node.localName)) failures.push(`${about}: an element ${node.localName}`);
    for (const {name, value} of node.attributes) {
      if (!ATTRIBUTES.has(name)) failures.push(`${about}: an attribute ${name}`);
      if (name === 'href' && !/^(https?:\/\/|mailto:)/i.test(value))
        failures.push(`${about}: a link to ${value}`);
    }
  }
  ++checks;
}

tests.hostile = async () => {
  for (const name of ['hostile.md', 'sample.md']) {
    const text = await (await fetch(name)).text();
    const whole = shown(text);
    inert(whole, name);
    const stream = document.createElement('div');
    document.getElementById('out').append(stream);
    for (let end = 0; end < text.length; end += 13) {
      renderMarkdown(stream, text.slice(0, end));
      inert(stream, `${name} to ${end}`);
    }
    renderMarkdown(stream, text);
    equal(stream.innerHTML === whole.innerHTML, true, `${name} in pieces is ${name} at once`);
    stream.remove();
  }
  equal(window.pwned, undefined);
};

// Random texts of what has a meaning, against exceptions and slowness.
tests.noise = () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const parts = [
    '*',        '**',          '_',  '`',     '```', '~~',     '[',   ']',     '(',
    ')',        '<',           '>',  '|',     '-',   '#',      '\n',  '\n\n',  '  ',
    '    ',     '1. ',         '- ', '\\',    '&',   '&#x41;', 'a',   'word ', 'https://x.y',
    '<script>', 'javascript:', '![', '|-|-|', '$$',  '\\[',    '\\]', '\t',    '\0',
    '😀',        '"',           '\'', '=',     ':'
  ];
  for (let round = 0; round < 1500; ++round) {
    let text = '';
    for (let n = random(60); n >= 0; --n) text += parts[random(parts.length)];
    try {
      const whole = shown(text);
      inert(whole, JSON.stringify(text));
      const grown = document.createElement('div');
      for (let end = random(9); end < text.length; end += 1 + random(9))
        renderMarkdown(grown, text.slice(0, end));
      renderMarkdown(grown, text);
      equal(grown.innerHTML, whole.innerHTML, `grown ${JSON.stringify(text)}`);
    } catch (error) {
      failures.push(`noise ${JSON.stringify(text)}: ${error}`);
    }
  }
  const start = performance.now();
  for (const unit
           of ['*', '**a ', '_a', '[', '![', '[a](', '`', '``a', '> ', '- ', '  - ', '<', '&', '\\',
               '|', '|-', '$$', '\\(', '\\[', '# ', '#', '~~a', '[a](b "', 'https://', '1. ', '*a_',
               '`a``', '---', '\\[\n', '$$\n', '>\n', '-\n', '|a\n|-\n', 'a|b\n', '```\n', '<br',
               '[x](https://y)']) {
    const before = performance.now();
    shown(unit.repeat(40000 / unit.length));
    const taken = performance.now() - before;
    if (taken > 3000) failures.push(`"${unit}" many times takes ${Math.round(taken)} ms`);
  }
  console.log(`repeats: ${Math.round(performance.now() - start)} ms`);
  const deep = Array.from({length: 400}, (_, i) => `${'  '.repeat(i)}- x`).join('\n');
  equal(shown(deep).textContent.includes('x'), true);
};

tests.redraw = () => {
  const box = document.createElement('div');
  renderMarkdown(box, 'one\n\ntwo');
  const first = box.firstChild;
  renderMarkdown(box, 'one\n\ntwo more\n\n- three');
  equal(box.firstChild === first, true, 'what stays is not drawn again');
  equal(box.textContent, 'onetwo morethree');
  renderMarkdown(box, 'one');
  equal(box.childNodes.length, 1);
  renderMarkdown(box, 'ones');
  equal(box.textContent, 'ones');
};

tests.highlight = () => {
  const text = (nodes) => nodes.map((node) => node.textContent).join('');
  const marks = (code, lang) => highlight(code, lang)
                                    .filter((n) => n.className)
                                    .map((n) => `${n.className.slice(3)}:${n.textContent}`);
  for (const lang
           of ['python', 'c++', 'json', 'html', 'sql', 'css', 'bash', 'unknown', '', '__proto__',
               'constructor'])
    for (const code
             of ['if x == "a" # c', '\'it\' /* c */ // d\n--e <!-- f', '"open', '"""doc', '`${x}`',
                 'a\nb', ''])
      equal(text(highlight(code, lang)), code, `${lang} ${code}`);
  equal(marks('return x1 + 0x1F # "no"', 'py'), ['word:return', 'number:0x1F', 'comment:# "no"']);
  equal(marks('const s = "a\\"b"; // c', 'js'), ['word:const', 'string:"a\\"b"', 'comment:// c']);
  equal(marks('SELECT 1', 'SQL'), ['word:SELECT', 'number:1']);
};

tests.answers = () => {
  const answer = emptyAnswer();
  const delta = (d, extra = {}) => addChunk(answer, {choices: [{delta: d, ...extra}]});
  equal(delta({role: 'assistant', content: ''}), false);
  equal(delta({reasoning: 'r1 '}), true);
  equal(delta({reasoning_content: 'r2'}), true);
  delta({content: 'te'});
  delta({content: 'xt'});
  delta({tool_calls: [{index: 0, id: 'c0', function: {name: 'f', arguments: '{"a"'}}]});
  delta({
    tool_calls: [
      {index: 1, id: 'c1', function: {name: 'g', arguments: {b: 1}}},
      {index: 0, function: {arguments: ':1}'}}
    ]
  });
  delta({tool_calls: [{index: 1e9, function: {name: 'far'}}, {index: -1}]});
  addChunk(answer, {choices: [], usage: {completion_tokens: 11, prompt_tokens: 3}});
  delta({}, {finish_reason: 'stop'});
  for (const odd of [{}, {choices: null}, {choices: [null]}, {choices: [{}]}])
    equal(addChunk(answer, odd), false);
  equal([answer.reasoning, answer.content, answer.finish], ['r1 r2', 'text', 'stop']);
  equal(
      answer.toolCalls,
      [{id: 'c0', name: 'f', arguments: '{"a":1}'}, {id: 'c1', name: 'g', arguments: '{"b":1}'}]);
  equal(
      statsOf(answer, {sent: 0, first: 500, last: 1500}),
      {tokens: 11, promptTokens: 3, firstMs: 500, perSecond: 10, finish: 'stop'});
  equal(prettyArguments('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
  equal(prettyArguments('{"a":'), '{"a":');
  equal(
      apiMessages(
          [
            {role: 'user', content: 'u'}, {...answer, content: '<think>x</think>text'},
            {role: 'tool', toolCallId: 'c0', content: 'r'},
            {role: 'assistant', content: '', toolCalls: []}
          ],
          'sys')
          .map((m) => [m.role, m.content, m.tool_calls?.length ?? m.tool_call_id]),
      [
        ['system', 'sys', undefined], ['user', 'u', undefined], ['assistant', 'text', 2],
        ['tool', 'r', 'c0']
      ]);
};

tests.thoughts = () => {
  equal(splitThoughts('<think>a</think>\n\nb'), {thoughts: 'a', text: 'b', open: false});
  equal(splitThoughts('a</think>b'), {thoughts: 'a', text: 'b'});
  equal(splitThoughts('plain <think>x</think>'), {thoughts: '', text: 'plain <think>x</think>'});
  equal(splitThoughts('<think>a'), {thoughts: 'a', text: '', open: true});
  // While it streams no part of a tag is seen.
  const whole = '<think>ab</think>cd';
  for (let end = 0; end <= whole.length; ++end) {
    const {thoughts, text} = splitThoughts(whole.slice(0, end), false);
    equal(/[<>/]/.test(thoughts + text), false, `to ${end}`);
  }
  equal(splitThoughts('<th', true).text, '<th');
  equal(partsOf({content: '<think>a', reasoning: 'r', toolCalls: []}, false).thinking, true);
};

tests.store = () => {
  const memory = () => new Store(null);
  const store = memory();
  const chat = newConversation({system: 's', temperature: '0.5', junk: 1});
  chat.messages.push(
      {role: 'user', content: 'Hello\nworld'},
      {...emptyAnswer(), content: 'x', state: 'streaming', stats: {tokens: 3}});
  equal(store.save(chat), true);
  equal(store.list().map(({title}) => title), ['Hello']);
  const back = store.load(chat.id);
  equal(
      [
        back.settings.temperature, back.settings.junk, back.messages[1].state,
        back.messages[1].stats
      ],
      ['0.5', undefined, 'cut', {tokens: 3}]);
  const file = JSON.stringify(store.exported());
  const other = memory();
  equal(other.imported(file), 1);
  equal(other.imported(file), 0, 'again');
  equal(other.load(chat.id).messages[0].content, 'Hello\nworld');
  for (const bad
           of ['', '{', '[]', 'null', '{"format":"mica-conversations"}',
               '{"format":"x","conversations":[]}']) {
    let said = '';
    try {
      other.imported(bad);
    } catch (error) {
      said = error.message;
    }
    equal(said.startsWith('The file'), true, bad);
  }
  const odd = {
    format: 'mica-conversations',
    conversations: [
      null, 1, {messages: 'x'}, {
        id: '../x',
        title: 5,
        messages: [
          null, {role: 'evil', content: 'x'}, {role: 'user', content: {}},
          {role: 'assistant', toolCalls: [null, 5], stats: 'x', state: 'x'}, {role: 'tool'}
        ]
      }
    ]
  };
  equal(other.imported(JSON.stringify(odd)), 1);
  store.remove(chat.id);
  equal(store.list(), []);
  equal(conversation(undefined), null);
  const full = new Store(
      {length: 0, getItem: () => null, setItem() { throw new Error('full'); }, removeItem() {}});
  equal(full.save(chat), false);
  equal(titleOf({messages: [{role: 'user', content: 'x'.repeat(99)}]}).length, 60);
};

tests.settings = () => {
  equal(
      requestFields({
        temperature: '0',
        top_p: '2',
        top_k: '1.5',
        max_tokens: ' 20 ',
        seed: 'x',
        thinking: 'off',
        tools: '[{"function":{"name":"f"}}]'
      }),
      {
        temperature: 0,
        max_tokens: 20,
        chat_template_kwargs: {enable_thinking: false},
        tools: [{function: {name: 'f'}}]
      });
  equal(requestFields({}), {});
  equal(numberProblem({least: 0, most: 1, step: 0.1}, '1.5'), 'At most 1');
  equal(numberProblem({least: 0, most: 1, step: 0.1}, '  '), '');
  equal(parseTools('[{"name":"f"}]').tools, null);
  equal(parseTools('{').problem !== '', true);
};

tests.metrics = () => {
  const families = parseMetrics([
    '# HELP vllm:x_total Some \\\\ help\\nmore', '# TYPE vllm:x_total counter',
    'vllm:x_total{a="1",b="q\\"\\\\\\n}"} 3 1700000000', 'vllm:x_total{} 4', '# TYPE h histogram',
    'h_bucket{le="0.1"} 2', 'h_bucket{le="1",} 6', 'h_bucket{le="+Inf"} 8', 'h_sum 9', 'h_count 8',
    'plain +Inf', 'nan NaN', 'bad', 'bad{', 'bad{a="1} 2', '{} 3', 'bad x', '# EOF', ''
  ].join('\r\n'));
  equal([...families.keys()], ['vllm:x_total', 'h', 'plain', 'nan']);
  equal(families.get('vllm:x_total').samples[0].labels, {a: '1', b: 'q"\\\n}'});
  equal(total(findFamily(families, ['x_total'])), 7);
  equal(total(findFamily(families, ['x'])), 7);
  equal([total(findFamily(families, ['plain'])), findFamily(families, ['none'])], [null, null]);
  const buckets = bucketsOf(families.get('h'));
  equal(quantile(buckets, 0.25), 0.1);
  equal(quantile(buckets, 0.5), 0.1 + 0.9 * 0.5);
  equal(quantile(buckets, 0.95), 1, 'beyond the last bound');
  equal(quantile(since(buckets, buckets), 0.5), null, 'nothing new');
  equal(quantile(since(buckets, [{bound: 0.1, count: 100}]), 0.25), 0.1, 'a new beginning');
  equal(
      quantile(
          since(
              [{bound: 1, count: 4}, {bound: 2, count: 8}],
              [{bound: 1, count: 4}, {bound: 2, count: 4}]),
          0.5),
      1.5);
  equal(quantile([], 0.5), null);
  equal(bucketsOf(null), null);
  const scrape = (time, count) =>
      ({time, families: parseMetrics(`vllm:generation_tokens_total ${count}`)});
  const rate = {names: ['generation_tokens_total'], kind: 'rate'};
  equal(seriesValue(rate, [scrape(0, 5)]), null);
  equal(seriesValue(rate, [scrape(0, 0), scrape(1000, 10), scrape(4000, 70)]), 20);
  equal(seriesValue(rate, [scrape(0, 100), scrape(1000, 10)]), 10, 'a restart');
};

tests.charts = () => {
  equal([0, 0.02, 1, 1.1, 7, 87, 1001].map(niceTop), [1, 0.02, 1, 1.5, 8, 100, 1500]);
  equal(
      linePath([[0, 1], [1, null], [2, 3], [3, 4], [99, 5]], 5),
      'M0.0 1.0h0.01M2.0 3.0h0.01L3.0 4.0M99.0 5.0h0.01');
};

for (const [name, test] of Object.entries(tests)) {
  current = name;
  try {
    await test();
  } catch (error) {
    failures.push(`${name}: ${error.stack}`);
  }
}
window.results = {
  checks,
  failures
};
