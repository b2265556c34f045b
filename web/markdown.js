// Markdown to a tree: the blocks of CommonMark and GitHub's tables and task lists, as models write
// them. Differences, on purpose: line breaks are kept, "---" below a paragraph is a rule (not a
// heading), lists may be indented less, HTML is text, and images are links (nothing is fetched).
//
//   {type: 'heading', level, inline}   {type: 'paragraph', inline}   {type: 'rule'}
//   {type: 'code', lang, text, open}   {type: 'math', text}          {type: 'quote', blocks}
//   {type: 'list', ordered, start, tight, items: [{task: null | boolean, blocks}]}
//   {type: 'table', align: ['left' | 'center' | 'right' | ''], head: [inline], rows: [[inline]]}
//
// `inline` is the tree of inline.js. Blocks of the first level carry `source` and the place
// of their `offset` in the text, so that of a stream only what has changed is read and drawn again.
import {parseInline} from './inline.js';

const MAX_DEPTH = 16;  // of quotes and lists within each other: deeper ones are paragraphs
const MAX_COLUMNS = 64;

const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]{0,200})$/;
const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+•]|\d{1,9}[.)])( +|$)/;
const DIVIDER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MATH_OPEN = /^ {0,3}(\$\$|\\\[)/;

export function parseMarkdown(text) {
  const lines = normalized(text).split('\n');
  const blocks = new Blocks(lines.map(expandTabs), 0).read();
  let at = 0, line = 0;
  for (const block of blocks) {
    for (; line < block.line; ++line) at += lines[line].length + 1;
    block.offset = at;
  }
  return blocks;
}

// The same for a text that has grown from `before.text`, whose `blocks` are known. What comes can
// change the last block, and whether the one before it ends; all others are as they were.
export function parseGrown(text, before) {
  const kept = before && text.startsWith(before.text) ? before.blocks.slice(0, -2) : [];
  if (kept.length === 0) return parseMarkdown(text);
  const from = before.blocks[kept.length].offset;
  const fresh = parseMarkdown(text.slice(from));
  for (const block of fresh) block.offset += from;
  return [...kept, ...fresh];
}

export function normalized(text) {
  return text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').replaceAll('\0', '\ufffd');
}

function expandTabs(line) {
  const indent = /^[ \t]*/.exec(line)[0];
  if (!indent.includes('\t')) return line;
  let wide = '';
  for (const c of indent) wide += c === '\t' ? ' '.repeat(4 - (wide.length % 4)) : ' ';
  return wide + line.slice(indent.length);
}

const blank = (line) => line.trim() === '';
const indentOf = (line) => line.length - line.trimStart().length;

class Blocks {
  constructor(lines, depth) {
    this.lines = lines;
    this.depth = depth;
    this.at = 0;
    this.blocks = [];
    this.loose = false;  // blank lines stand between blocks
  }

  read() {
    let gap = false;
    while (this.at < this.lines.length) {
      if (blank(this.lines[this.at])) {
        gap = true;
        ++this.at;
        continue;
      }
      if (gap && this.blocks.length > 0) this.loose = true;
      gap = false;
      const from = this.at;
      const block = this.block(this.lines[from]);
      if (this.depth === 0) {
        block.source = this.lines.slice(from, this.at).join('\n');
        block.line = from;
      }
      this.blocks.push(block);
    }
    return this.blocks;
  }

  block(line) {
    const deeper = this.depth < MAX_DEPTH;
    if (indentOf(line) >= 4) return this.indentedCode();
    if (FENCE.test(line)) return this.fence(FENCE.exec(line));
    if (MATH_OPEN.test(line) && this.mathEnd() >= 0) return this.math();
    if (HEADING.test(line)) return this.heading(line);
    if (RULE.test(line)) return this.rule();
    if (deeper && QUOTE.test(line)) return this.quote();
    if (deeper && ITEM.test(line)) return this.list(ITEM.exec(line));
    if (this.startsTable()) return this.table();
    return this.paragraph();
  }

  // Whether the current line ends a paragraph above it.
  interrupts(line) {
    if (blank(line) || FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
    if (this.depth >= MAX_DEPTH) return false;
    const item = ITEM.exec(line);
    const begins = item && item[3] !== '' && (!/^\d/.test(item[2]) || parseInt(item[2], 10) === 1);
    return QUOTE.test(line) || Boolean(begins) || this.startsTable() ||
        (MATH_OPEN.test(line) && this.mathEnd() >= 0);
  }

  indentedCode() {
    const out = [];
    while (this.at < this.lines.length) {
      const line = this.lines[this.at];
      if (!blank(line) && indentOf(line) < 4) break;
      out.push(line.slice(4));
      ++this.at;
    }
    while (out.length > 0 && blank(out[out.length - 1])) {
      out.pop();
      --this.at;
    }
    return {type: 'code', lang: '', text: out.join('\n'), open: false};
  }

  fence([, indent, marks, info]) {
    const out = [];
    let open = true;
    for (++this.at; this.at < this.lines.length && open; ++this.at) {
      const line = this.lines[this.at];
      const end = line.trim();
      if (end.length >= marks.length && indentOf(line) < 4 && end === marks[0].repeat(end.length))
        open = false;
      else
        out.push(line.slice(Math.min(indentOf(line), indent.length)));
    }
    const lang = /^[\w+#.-]{0,20}/.exec(info)[0];
    return {type: 'code', lang, text: out.join('\n'), open};
  }

  // The line on which the formula that begins here ends, or -1.
  mathEnd() {
    const [, mark] = MATH_OPEN.exec(this.lines[this.at]);
    const end = mark === '$$' ? '$$' : '\\]';
    const last = Math.min(this.lines.length, this.at + 60);
    for (let i = this.at; i < last; ++i) {
      const line = this.lines[i].trimEnd();
      if (i > this.at && blank(line)) return -1;
      const from = i === this.at ? line.indexOf(mark) + 2 : 0;
      if (line.endsWith(end) && line.length - 2 >= from) return i;
    }
    return -1;
  }

  math() {
    const end = this.mathEnd();
    const text = this.lines.slice(this.at, end + 1).join('\n').trim().slice(2, -2).trim();
    this.at = end + 1;
    return {type: 'math', text};
  }

  heading(line) {
    ++this.at;
    const [all, marks] = HEADING.exec(line);
    let text = line.slice(all.length).trim();
    const closed = text.replace(/#{1,100}$/, '');
    if (closed === '' || closed.endsWith(' ')) text = closed.trim();
    return {type: 'heading', level: marks.length, inline: parseInline(text)};
  }

  rule() {
    ++this.at;
    return {type: 'rule'};
  }

  quote() {
    const inner = [];
    let paragraph = false;  // a line without ">" may go on with it
    while (this.at < this.lines.length) {
      const line = this.lines[this.at];
      if (QUOTE.test(line)) {
        inner.push(line.replace(QUOTE, ''));
        paragraph = !blank(inner[inner.length - 1]);
      } else if (paragraph && !this.interrupts(line)) {
        inner.push(line);
      } else {
        break;
      }
      ++this.at;
    }
    return {type: 'quote', blocks: new Blocks(inner, this.depth + 1).read()};
  }

  list([, , first]) {
    const ordered = /^\d/.test(first);
    const kind = ordered ? first[first.length - 1] : first;
    const items = [];
    let loose = false, gap = false;
    while (this.at < this.lines.length) {
      const line = this.lines[this.at];
      const item = ITEM.exec(line);
      const same = item && !RULE.test(line) && /^\d/.test(item[2]) === ordered &&
          (ordered ? item[2].endsWith(kind) : item[2] === kind);
      if (!same) break;
      if (gap) loose = true;
      const inner = new Blocks(this.itemLines(item), this.depth + 1);
      const task = /^\[([ xX])\](?= )/.exec(inner.lines[0]);
      if (task) inner.lines[0] = inner.lines[0].slice(4);
      items.push({task: task ? task[1] !== ' ' : null, blocks: inner.read()});
      if (inner.loose) loose = true;
      gap = this.at > 0 && blank(this.lines[this.at - 1] ?? '');
    }
    return {type: 'list', ordered, start: ordered ? parseInt(first, 10) : 1, tight: !loose, items};
  }

  // The lines of the item that begins here, without its indentation.
  itemLines([all, indent, marker, space]) {
    const width = space.length > 4 || space === '' ? indent.length + marker.length + 1 : all.length;
    // Models often indent by two what is below "1. ".
    const least = Math.min(width, indent.length + 2);
    const out = [this.lines[this.at].slice(Math.min(width, this.lines[this.at].length))];
    let gap = false;
    for (++this.at; this.at < this.lines.length; ++this.at) {
      const line = this.lines[this.at];
      if (blank(line)) {
        if (out.length === 1 && blank(out[0])) break;  // an item that begins empty ends here
        gap = true;
        out.push('');
        continue;
      }
      const inside = indentOf(line) >= least;
      const lazy = !inside && !gap && !ITEM.test(line) && !this.interrupts(line);
      if (!inside && !lazy) break;
      out.push(lazy ? line.trimStart() : line.slice(Math.min(indentOf(line), width)));
      gap = false;
    }
    while (out.length > 1 && out[out.length - 1] === '') out.pop();
    return out;
  }

  startsTable() {
    const head = this.lines[this.at], divider = this.lines[this.at + 1];
    if (divider === undefined || !head.includes('|') || !divider.includes('-')) return false;
    if (divider.length > 2000 || !DIVIDER.test(divider)) return false;
    const columns = cells(divider).length;
    return columns <= MAX_COLUMNS && columns === cells(head).length;
  }

  table() {
    const head = cells(this.lines[this.at]);
    const align = cells(this.lines[this.at + 1]).map((cell) => {
      const left = cell.startsWith(':'), right = cell.endsWith(':');
      return left && right ? 'center' : right ? 'right' : left ? 'left' : '';
    });
    const rows = [];
    for (this.at += 2; this.at < this.lines.length; ++this.at) {
      const line = this.lines[this.at];
      if (blank(line) || !line.includes('|') || FENCE.test(line)) break;
      const row = cells(line).slice(0, head.length);
      while (row.length < head.length) row.push('');
      rows.push(row.map((cell) => parseInline(cell)));
    }
    return {type: 'table', align, head: head.map((cell) => parseInline(cell)), rows};
  }

  paragraph() {
    const out = [this.lines[this.at++].trimStart()];
    while (this.at < this.lines.length) {
      const line = this.lines[this.at];
      if (/^ {0,3}=+ *$/.test(line)) {
        ++this.at;
        return {type: 'heading', level: 1, inline: parseInline(out.join('\n').trimEnd())};
      }
      if (this.interrupts(line)) break;
      out.push(line.trimStart());
      ++this.at;
    }
    return {type: 'paragraph', inline: parseInline(out.join('\n').trimEnd())};
  }
}

// A row's cells; "\|" and bars in code stay in their cell.
function cells(line) {
  let text = line.trim();
  if (text.startsWith('|')) text = text.slice(1);
  if (text.endsWith('|') && !text.endsWith('\\|')) text = text.slice(0, -1);
  const out = [];
  let cell = '', ticks = false;
  for (let i = 0; i < text.length; ++i) {
    const c = text[i];
    if (c === '`') ticks = !ticks;
    if (c === '\\' && text[i + 1] === '|') {
      cell += '|';
      ++i;
    } else if (c === '|' && (!ticks || !text.includes('`', i))) {
      out.push(cell.trim());
      cell = '';
      ticks = false;
    } else {
      cell += c;
    }
  }
  out.push(cell.trim());
  return out;
}
