// The tree of markdown.js as elements. Elements are made one by one and filled with text, so what a
// model writes can't become markup.
import {copyButton, el} from './dom.js';
import {highlight} from './highlight.js';
import {normalized, parseGrown} from './markdown.js';

// Shows the text in `container`; blocks that are as they were stay, with selections inside them.
export function renderMarkdown(container, given) {
  const text = normalized(given);
  const before = container.shown;
  if (before?.text === text) return;
  const blocks = parseGrown(text, before);
  const shown = before?.blocks ?? [];
  let same = 0;
  while (same < blocks.length && same < shown.length && blocks[same].source === shown[same].source)
    ++same;
  while (container.childNodes.length > same) container.lastChild.remove();
  for (const block of blocks.slice(same)) container.append(blockElement(block));
  container.shown = {text, blocks};
}

function blockElement(block) {
  switch (block.type) {
    // A page has one first heading, and it isn't the model's.
    case 'heading':
      return el(
          `h${Math.min(6, block.level + 2)}`, {class: `level-${block.level}`},
          inline(block.inline));
    case 'paragraph': return el('p', {}, inline(block.inline));
    case 'rule': return el('hr');
    case 'code': return codeElement(block);
    case 'math': return el('pre', {class: 'math', tabindex: 0}, block.text);
    case 'quote': return el('blockquote', {}, block.blocks.map(blockElement));
    case 'list': return listElement(block);
    case 'table': return tableElement(block);
    default: throw new Error(`no such block: ${block.type}`);
  }
}

export function codeElement({lang, text}) {
  return el(
      'div', {class: 'code'},
      el('div', {class: 'code-head'}, el('span', {}, lang || 'text'), copyButton(() => text)),
      el('pre', {tabindex: 0, 'aria-label': lang ? `Code, ${lang}` : 'Code'},
         el('code', {}, highlight(text, lang))));
}

function listElement({ordered, start, tight, items}) {
  const list = el(ordered ? 'ol' : 'ul', {start: ordered && start !== 1 ? start : null});
  for (const {task, blocks} of items) {
    const item = el('li', {class: task === null ? null : 'task'});
    if (task !== null)
      item.append(el('input', {
        type: 'checkbox',
        disabled: true,
        checked: task,
        'aria-label': task ? 'done' : 'not done'
      }));
    for (const block of blocks) {
      if (tight && block.type === 'paragraph')
        item.append(...inline(block.inline));
      else
        item.append(blockElement(block));
    }
    list.append(item);
  }
  return list;
}

function tableElement({align, head, rows}) {
  const cell = (tag) => (nodes, i) =>
      el(tag, {class: align[i] ? `to-${align[i]}` : null, scope: tag === 'th' ? 'col' : null},
         inline(nodes));
  // Wide tables scroll in themselves, and a keyboard must reach them for that.
  return el(
      'div', {class: 'table', tabindex: 0, role: 'region', 'aria-label': 'Table'},
      el('table', {}, el('thead', {}, el('tr', {}, head.map(cell('th')))),
         el('tbody', {}, rows.map((row) => el('tr', {}, row.map(cell('td')))))));
}

function inline(nodes) {
  return nodes.map((node) => {
    if (typeof node === 'string') return document.createTextNode(node);
    switch (node.type) {
      case 'em':
      case 'strong':
      case 'del': return el(node.type, {}, inline(node.children));
      case 'code': return el('code', {}, node.text);
      case 'math': return el('code', {class: 'math'}, node.text);
      case 'break': return el('br');
      case 'link':
        return el(
            'a', {
              href: node.href,
              target: '_blank',
              rel: 'noopener noreferrer nofollow',
              title: node.href
            },
            inline(node.children));
      default: throw new Error(`no such node: ${node.type}`);
    }
  });
}
