// The inside of a paragraph: emphasis, code, links. Text to a tree of nodes; no markup passes
// through, since the tree has texts only and render.js makes elements of known kinds from it.
//
//   'text'                                    a string is text
//   {type: 'em' | 'strong' | 'del', children}
//   {type: 'code' | 'math', text}   {type: 'break'}
//   {type: 'link', href, children}            href passed `safeUrl`

const MAX_RUNS = 2000;     // of emphasis in one text: beyond they are plain characters
const MAX_BRACKETS = 100;  // open at one time
const MAX_MATH = 2000;     // characters of a formula in a line
const MAX_DEPTH = 30;      // of links and emphasis within each other

// Where links may go. Everything else (javascript:, data:, file:, …) stays text.
export function safeUrl(text) {
  const url = text.trim();
  // Browsers ignore control characters inside of a scheme, so none may stand anywhere.
  if (/[\u0000-\u0020\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/.test(url)) return null;
  return /^(https?:\/\/[^/]|mailto:[^@]+@)/i.test(url) ? url : null;
}

const NAMED = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: '\'',
  nbsp: '\u00a0',
  copy: '©',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  times: '×',
  rarr: '→',
  larr: '←',
  deg: '°'
};

function entity(source, at) {
  const found = /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,6}));/y;
  found.lastIndex = at;
  const match = found.exec(source);
  if (!match) return null;
  let text = match[3] ? NAMED[match[3]] : undefined;
  if (!match[3]) {
    const point = match[1] ? Number(match[1]) : parseInt(match[2], 16);
    const bad = point === 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
    text = bad ? '\ufffd' : String.fromCodePoint(point);
  }
  return text === undefined ? null : {text, end: at + match[0].length};
}

const SPACE = /\s/, PUNCTUATION = /[\p{P}\p{S}]/u, ESCAPABLE = /[!-/:-@[-`{-~]/;

class Reader {
  constructor(source, depth) {
    this.source = source;
    this.depth = depth;
    this.nodes = [];     // of the tree, and {run: …} where emphasis may begin or end
    this.plain = [];     // text that is not a node yet
    this.brackets = [];  // {at: index in nodes, from: in source, image}
    this.runs = 0;
    this.noTicks = new Set();  // lengths of backtick runs that have no end from here on
  }

  text(piece) { this.plain.push(piece); }
  flush() {
    if (this.plain.length > 0) this.nodes.push(this.plain.join(''));
    this.plain = [];
  }
  node(node) {
    this.flush();
    this.nodes.push(node);
  }

  read() {
    const {source} = this;
    const special = /[\\`*_~[\]!<&\n$hH]/g;
    let i = 0;
    while (i < source.length) {
      special.lastIndex = i;
      const next = special.exec(source);
      if (!next) break;
      if (next.index > i) this.text(source.slice(i, next.index));
      i = this.step(next.index, source[next.index]);
    }
    if (i < source.length) this.text(source.slice(i));
    this.flush();
    return emphasis(this.nodes);
  }

  // Reads what begins at `i`; returns where to go on.
  step(i, c) {
    switch (c) {
      case '\\': return this.backslash(i);
      case '`': return this.code(i);
      case '*':
      case '_':
      case '~': return this.run(i, c);
      case '!':
        if (this.source[i + 1] === '[') return this.open(i, true);
        break;
      case '[': return this.open(i, false);
      case ']': return this.close(i);
      case '<': return this.angle(i);
      case '&': return this.entity(i);
      case '\n': return this.newline(i);
      case '$': return this.dollars(i);
      default: return this.bareUrl(i);
    }
    this.text(c);
    return i + 1;
  }

  backslash(i) {
    const next = this.source[i + 1];
    if (next === '\n') {
      this.node({type: 'break'});
      return i + 2;
    }
    if (next === '(') return this.math(i, '\\)');
    if (next === '[') return this.math(i, '\\]');
    const escape = next !== undefined && ESCAPABLE.test(next);
    this.text(escape ? next : '\\');
    return i + (escape ? 2 : 1);
  }

  // Formulas are shown as written: their stars and underscores are no emphasis.
  math(i, end) {
    const ahead = this.source.slice(i + 2, i + MAX_MATH);
    const stop = ahead.indexOf(end);
    if (stop < 0) {
      this.text(this.source.slice(i + 1, i + 2));
      return i + 2;
    }
    this.node({type: 'math', text: ahead.slice(0, stop).trim()});
    return i + 2 + stop + end.length;
  }

  dollars(i) {
    if (this.source[i + 1] === '$') {
      const ahead = this.source.slice(i + 2, i + MAX_MATH);
      const stop = ahead.indexOf('$$');
      if (stop > 0) {
        this.node({type: 'math', text: ahead.slice(0, stop).trim()});
        return i + 2 + stop + 2;
      }
    }
    this.text('$');
    return i + 1;
  }

  code(i) {
    let open = i;
    while (this.source[open] === '`') ++open;
    const length = open - i;
    if (!this.noTicks.has(length)) {
      const ticks = /`+/g;
      ticks.lastIndex = open;
      for (let match; (match = ticks.exec(this.source));) {
        if (match[0].length !== length) continue;
        let text = this.source.slice(open, match.index).replaceAll('\n', ' ');
        if (text.startsWith(' ') && text.endsWith(' ') && text.trim() !== '')
          text = text.slice(1, -1);
        this.node({type: 'code', text});
        return match.index + length;
      }
      this.noTicks.add(length);
    }
    this.text(this.source.slice(i, open));
    return open;
  }

  run(i, c) {
    let end = i;
    while (this.source[end] === c) ++end;
    const count = end - i;
    const plain = count > 10 || ++this.runs > MAX_RUNS || (c === '~' && count !== 2);
    if (plain) {
      this.text(this.source.slice(i, end));
      return end;
    }
    // CommonMark 6.2: flanking, by what stands before and after.
    const before = i === 0 ? ' ' : this.source[i - 1], after = this.source[end] ?? ' ';
    const left = !SPACE.test(after) &&
        (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
    const right = !SPACE.test(before) &&
        (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
    const inWord = c === '_';
    this.node({
      run: c,
      count,
      opens: left && (!inWord || !right || PUNCTUATION.test(before)),
      closes: right && (!inWord || !left || PUNCTUATION.test(after))
    });
    return end;
  }

  open(i, image) {
    this.flush();
    const length = image ? 2 : 1;
    if (this.brackets.length < MAX_BRACKETS)
      this.brackets.push({at: this.nodes.length, from: i + length});
    this.text(this.source.slice(i, i + length));
    this.flush();
    return i + length;
  }

  close(i) {
    const bracket = this.brackets.pop();
    const target = bracket && this.source[i + 1] === '(' ? linkTarget(this.source, i + 2) : null;
    if (!target) {
      this.text(']');
      return i + 1;
    }
    const href = safeUrl(target.url);
    const inside = this.source.slice(bracket.from, i);
    this.flush();
    this.nodes.length = bracket.at;
    // Links hold no links; the outer brackets of this one are text.
    this.brackets = [];
    const children = this.depth < MAX_DEPTH ? new Reader(inside, this.depth + 1).read() : [inside];
    if (href)
      this.node({type: 'link', href, children: children.length ? unlinked(children) : [href]});
    else
      for (const child of children) this.node(child);
    return target.end;
  }

  angle(i) {
    const found = /<([^<>\s]{1,2000})>/y;
    found.lastIndex = i;
    const match = found.exec(this.source);
    const href = match && safeUrl(match[1]);
    if (!href) {
      const br = /<br\s{0,4}\/?>/iy;
      br.lastIndex = i;
      const line = br.exec(this.source);
      if (line) {
        this.node({type: 'break'});
        return i + line[0].length;
      }
      this.text('<');
      return i + 1;
    }
    this.node({type: 'link', href, children: [match[1]]});
    return i + match[0].length;
  }

  bareUrl(i) {
    const before = i === 0 ? ' ' : this.source[i - 1];
    const found = /https?:\/\/[^\s<>"'`|\\^{}]{1,2000}/iy;
    found.lastIndex = i;
    const match = /[\p{L}\p{N}]/u.test(before) ? null : found.exec(this.source);
    if (!match) {
      this.text(this.source[i]);
      return i + 1;
    }
    let url = match[0];
    // Punctuation at the end belongs to the sentence; so does a parenthesis that is not opened.
    for (;;) {
      const last = url[url.length - 1];
      const unopened = last === ')' && !url.includes('(');
      if (!'.,;:!?*_~]'.includes(last) && !unopened) break;
      url = url.slice(0, -1);
    }
    const href = safeUrl(url);
    if (href)
      this.node({type: 'link', href, children: [url]});
    else
      this.text(url);
    return i + url.length;
  }

  entity(i) {
    const found = entity(this.source, i);
    this.text(found ? found.text : '&');
    return found ? found.end : i + 1;
  }

  // A chat's line breaks are meant, so each one is kept.
  newline(i) {
    if (this.plain.length > 0) this.plain.push(this.plain.pop().trimEnd());
    this.node({type: 'break'});
    return i + 1;
  }
}

const BRACKETED = '<([^<>\\n]{0,2000})>', BARE = '((?:[^\\s()]|\\([^\\s()]{0,500}\\)){0,2000})';
const TITLE = `(?:[ \\n]{1,9}(?:"[^"]{0,500}"|'[^']{0,500}'))?`;
const TARGET = new RegExp(`[ \\n]{0,9}(?:${BRACKETED}|${BARE})${TITLE}[ \\n]{0,9}\\)`, 'y');

// "url "title")" from `at`, after the parenthesis.
function linkTarget(source, at) {
  TARGET.lastIndex = at;
  const match = TARGET.exec(source);
  return match && {url: match[1] ?? match[2] ?? '', end: TARGET.lastIndex};
}

function unlinked(nodes) {
  return nodes.flatMap((node) => {
    if (typeof node === 'string' || !node.children) return [node];
    const children = unlinked(node.children);
    return node.type === 'link' ? children : [{...node, children}];
  });
}

// CommonMark's process of delimiter runs: each closer takes the nearest opener of its kind.
function emphasis(nodes) {
  const out = [];   // finished nodes and open runs
  const open = [];  // indices of open runs in `out`, ascending
  for (const node of nodes) {
    if (!node.run) {
      out.push(node);
      continue;
    }
    let left = node.count;
    while (node.closes && left > 0) {
      const at = findOpener(out, open, node, left);
      if (at < 0) break;
      left -= wrap(out, open, at, node.run, left);
    }
    if (left === 0) continue;
    if (node.opens && open.length < MAX_DEPTH) open.push(out.length);
    out.push({...node, count: left, original: node.count});
  }
  return joined(out.map((node) => (node.run ? node.run.repeat(node.count) : node)));
}

function findOpener(out, open, closer, left) {
  for (let k = open.length - 1; k >= 0; --k) {
    const opener = out[open[k]];
    if (opener.run !== closer.run) continue;
    if (closer.run === '~' && (left < 2 || opener.count < 2)) continue;
    // Rule of three: "*foo**bar*" is not cut in the middle.
    const both = opener.closes || closer.opens;
    const sum = opener.original + closer.count;
    if (both && sum % 3 === 0 && (opener.original % 3 !== 0 || closer.count % 3 !== 0)) continue;
    return k;
  }
  return -1;
}

function wrap(out, open, k, run, left) {
  const at = open[k];
  const opener = out[at];
  const used = left >= 2 && opener.count >= 2 ? 2 : 1;
  open.length = k;  // runs between that found no end are text
  const children =
      out.splice(at + 1).map((node) => (node.run ? node.run.repeat(node.count) : node));
  const type = run === '~' ? 'del' : used === 2 ? 'strong' : 'em';
  opener.count -= used;
  if (opener.count === 0)
    out.pop();
  else
    open.push(at);
  out.push({type, children: joined(children)});
  return used;
}

// Neighbouring texts as one.
function joined(nodes) {
  const out = [];
  for (const node of nodes) {
    if (typeof node === 'string' && typeof out[out.length - 1] === 'string')
      out[out.length - 1] += node;
    else
      out.push(node);
  }
  return out;
}

export function parseInline(source, depth = 0) { return new Reader(source, depth).read(); }
