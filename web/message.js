// One message on the page.
import {partsOf, prettyArguments} from './answer.js';
import {copyButton, el} from './dom.js';
import {codeElement, renderMarkdown} from './render.js';

const REASONS = {
  length: 'ended at the token limit',
  content_filter: 'ended by a filter'
};

export function statsText(stats = {}, device = '') {
  const out = [];
  if (stats.tokens !== undefined) out.push(`${stats.tokens} token${stats.tokens === 1 ? '' : 's'}`);
  if (stats.perSecond !== undefined)
    out.push(`${stats.perSecond.toFixed(stats.perSecond < 10 ? 1 : 0)} tokens/s`);
  if (stats.firstMs !== undefined) out.push(`first after ${(stats.firstMs / 1000).toFixed(2)} s`);
  if (stats.promptTokens !== undefined)
    out.push(
        `prompt ${stats.promptTokens}` +
        (stats.cachedTokens ? `, ${stats.cachedTokens} from the cache` : ''));
  if (device) out.push(device);
  if (REASONS[stats.finish]) out.push(REASONS[stats.finish]);
  return out.join(' · ');
}

// handlers: edit(message, text), regenerate(), answerTools(message, results)
export class MessageView {
  constructor(message, handlers) {
    this.message = message;
    this.handlers = handlers;
    this.body = el('div', {class: message.role === 'assistant' ? 'body markdown' : 'body'});
    this.actions = el('div', {class: 'actions'});
    this.element = el('article', {class: `message ${message.role}`});
    if (message.role === 'assistant')
      this.buildAnswer();
    else
      this.buildGiven();
  }

  buildGiven() {
    const {message} = this;
    const who = message.role === 'user' ? 'You' : `Result of ${message.name || 'a tool'}`;
    this.element.setAttribute('aria-label', who);
    this.element.append(el('h2', {class: 'who'}, who), this.body, this.actions);
    this.body.textContent = message.content;
  }

  buildAnswer() {
    this.element.setAttribute('aria-label', 'Answer');
    this.who = el('h2', {class: 'who'});
    this.thoughtsTitle = el('summary', {});
    this.thoughtsBody = el('div', {class: 'markdown'});
    this.thoughts =
        el('details', {class: 'thoughts', hidden: true}, this.thoughtsTitle, this.thoughtsBody);
    this.thoughts.addEventListener('toggle', () => this.drawThoughts());
    this.calls = el('div', {class: 'calls'});
    this.waiting = el('p', {class: 'waiting', hidden: true});
    this.problem = el('div', {class: 'trouble', role: 'alert', hidden: true});
    this.stats = el('p', {class: 'stats'});
    this.element.append(
        this.who, this.thoughts, this.body, this.calls, this.waiting, this.problem,
        el('div', {class: 'foot'}, this.stats, this.actions));
  }

  // `live`: {note, stats} while the answer comes, else null. `last`: nothing follows it;
  // `lastUser`: no other message of the user follows. `idle`: nothing is being answered.
  update({live = null, last = false, lastUser = false, idle = true} = {}) {
    if (this.message.role === 'assistant') this.updateAnswer(live);
    this.updateActions(live, last, lastUser, idle);
  }

  updateAnswer(live) {
    const {message} = this;
    const parts = partsOf(message, !live);
    this.parts = parts;
    this.element.setAttribute('aria-busy', live ? 'true' : 'false');
    this.element.classList.toggle('live', Boolean(live));
    this.who.textContent = message.model ? message.model.split('/').pop() : 'Answer';
    this.thoughts.hidden = parts.thoughts === '';
    this.thoughts.classList.toggle('thinking', parts.thinking);
    this.thoughtsTitle.textContent = parts.thinking ? 'Thinking' : 'Thoughts';
    this.drawThoughts();
    renderMarkdown(this.body, parts.text);
    this.drawCalls(parts.calls, live);
    this.waiting.hidden = !live?.note;
    this.waiting.textContent = live?.note ?? '';
    const trouble =
        !live && (message.state === 'cut' ? 'This answer was interrupted.' : message.problem);
    this.problem.hidden = !trouble;
    if (this.problem.firstChild?.textContent !== trouble)
      this.problem.replaceChildren(...(trouble ? [el('p', {}, trouble)] : []));
    const known = live ? live.stats : message.stats;
    const stopped = !live && message.state === 'stopped' ? 'stopped' : '';
    const text = statsText(known, !live && known?.tokens ? message.device : '');
    this.stats.textContent = [stopped, text].filter(Boolean).join(' · ');
  }

  // Thoughts are often long: they are drawn when they are seen.
  drawThoughts() {
    if (this.thoughts.open) renderMarkdown(this.thoughtsBody, this.parts?.thoughts ?? '');
  }

  drawCalls(calls, live) {
    const key = JSON.stringify(calls) + Boolean(live);
    if (key === this.drawnCalls) return;
    this.drawnCalls = key;
    this.calls.replaceChildren(...calls.map(
        (call, i) =>
            el('section', {class: 'call', 'aria-label': `Call of ${call.name}`},
               el('h3', {}, calls.length > 1 ? `Call ${i + 1}: ` : 'Calls ',
                  el('code', {}, call.name || '…')),
               codeElement({lang: 'json', text: prettyArguments(call.arguments)}))));
  }

  updateActions(live, last, lastUser, idle) {
    const {message, handlers} = this;
    const waitsForTools = last && message.role === 'assistant' && message.state === 'done' &&
        message.toolCalls?.length > 0;
    const key = [Boolean(live), last, lastUser, idle, waitsForTools, message.problem].join();
    if (key === this.drawnActions) return;
    this.drawnActions = key;
    const buttons = [];
    const button = (label, onclick) =>
        el('button', {type: 'button', class: 'quiet', onclick}, label);
    const text = () => (message.role === 'assistant' ? partsOf(message).text : message.content);
    if (!live && text() !== '') buttons.push(copyButton(text));
    if (message.role === 'user' && lastUser && idle)
      buttons.push(button('Edit', () => this.startEdit()));
    if (message.role === 'assistant' && last && idle)
      buttons.push(
          button(message.problem ? 'Try again' : 'Regenerate', () => handlers.regenerate()));
    if (message.role === 'tool' && last && idle)
      buttons.push(button('Answer', () => handlers.regenerate()));
    if (message.role === 'user' && last && idle)
      buttons.push(button('Answer', () => handlers.regenerate()));
    this.actions.replaceChildren(...buttons);
    this.form?.remove();
    this.form = null;
    if (waitsForTools && idle) this.askForResults();
  }

  askForResults() {
    const calls = this.message.toolCalls;
    const fields = calls.map((call, i) => {
      const id = `result-${i}-${call.id}`;
      return el(
          'div', {class: 'field'},
          el('label',
             {for: id
             },
             calls.length > 1 ? `Result of call ${i + 1}, ${call.name}` : `Result of ${call.name}`),
          el('textarea', {id, rows: 2, spellcheck: 'false'}));
    });
    this.form =
        el('form', {class: 'results'}, fields,
           el('button', {type: 'submit', class: 'soft'},
              calls.length > 1 ? 'Send results' : 'Send result'));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.handlers.answerTools(
          this.message, fields.map((field) => field.querySelector('textarea').value));
    });
    this.calls.after(this.form);
  }

  startEdit() {
    const area = el('textarea', {'aria-label': 'Your message', rows: 3, class: 'edit'});
    area.value = this.message.content;
    const end = (send) => {
      const text = area.value.trim();
      form.replaceWith(this.body);
      this.actions.hidden = false;
      this.actions.querySelector('button')?.focus();
      if (send && text !== '') this.handlers.edit(this.message, text);
    };
    const form =
        el('form', {class: 'editing'}, area,
           el('div', {class: 'actions'}, el('button', {type: 'submit', class: 'soft'}, 'Send'),
              el('button', {type: 'button', class: 'quiet', onclick: () => end(false)}, 'Cancel')));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      end(true);
    });
    area.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Escape') {
        event.stopPropagation();
        end(false);
      }
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        end(true);
      }
    });
    this.body.replaceWith(form);
    this.actions.hidden = true;
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}
