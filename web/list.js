// The list of conversations: open, rename, delete.
import {el, icon} from './dom.js';

export class ConversationList {
  // handlers: open(id), rename(id, title), remove(id)
  constructor(element, handlers) {
    this.element = element;
    this.handlers = handlers;
    this.renaming = '';
  }

  // `busy`: ids whose answer is on its way.
  show(entries, current, busy) {
    if (this.renaming) return;  // drawn again when that ends
    const focused = document.activeElement?.closest?.('li')?.dataset.id;
    const kind = document.activeElement?.dataset?.does;
    this.element.replaceChildren(
        ...entries.map((entry) => this.row(entry, entry.id === current, busy.has(entry.id))));
    if (focused && kind) this.find(focused, kind)?.focus();
  }

  // A button of a conversation's row.
  find(id, does) {
    return this.element.querySelector(`li[data-id="${CSS.escape(id)}"] [data-does="${does}"]`);
  }

  row({id, title}, current, busy) {
    return el(
        'li', {'data-id': id, class: current ? 'current' : null},
        el('button', {
          type: 'button',
          class: 'open',
          'data-does': 'open',
          title,
          'aria-current': current ? 'true' : null,
          onclick: () => this.handlers.open(id)
        },
           busy ? el('span', {class: 'busy', role: 'img', 'aria-label': 'answering'}) : null,
           title),
        el('span', {class: 'row-actions'},
           el('button', {
             type: 'button',
             class: 'quiet',
             'data-does': 'rename',
             title: 'Rename',
             'aria-label': `Rename “${title}”`,
             onclick: () => this.rename(id, title)
           },
              icon('edit')),
           el('button', {
             type: 'button',
             class: 'quiet',
             'data-does': 'remove',
             title: 'Delete',
             'aria-label': `Delete “${title}”`,
             onclick: () => this.handlers.remove(id)
           },
              icon('trash'))));
  }

  rename(id, title) {
    const row = this.element.querySelector(`li[data-id="${CSS.escape(id)}"]`);
    const input = el('input', {'aria-label': 'Name of the conversation', maxlength: 200});
    input.value = title;
    this.renaming = id;
    const end = (keep) => {
      if (this.renaming !== id) return;
      this.renaming = '';
      const text = input.value.trim();
      this.handlers.rename(id, keep && text !== '' ? text : null);
      this.find(id, 'open')?.focus();
    };
    input.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Enter' || event.key === 'Escape') {
        event.preventDefault();
        event.stopPropagation();
        end(event.key === 'Enter');
      }
    });
    input.addEventListener('blur', () => end(true));
    row.replaceChildren(input);
    input.focus();
    input.select();
  }
}
