// The chat: conversations, what is being answered, and their place on the page. An answer goes on
// when another conversation is opened; each conversation has at most one.
import {addChunk, apiMessages, emptyAnswer, partsOf, statsOf} from './answer.js';
import {ApiError, streamChat} from './api.js';
import {announce, el} from './dom.js';
import {ConversationList} from './list.js';
import {MessageView} from './message.js';
import {requestFields} from './settings.js';
import {newConversation, Store, titleOf} from './store.js';

const SAVE_EVERY_MS = 1000;
const LOADING_RETRIES = 600;

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, {once: true});
});

export class Chat {
  // page: the elements by name. settingsPanel: show(settings). onUnauthorized(): a key is needed.
  constructor(page, {store = new Store(), showSettings, toast, onUnauthorized, device}) {
    Object.assign(this, {page, store, showSettings, toast, onUnauthorized, device});
    this.jobs = new Map();   // conversation id -> {chat, message, abort, clock, pieces, note}
    this.views = new Map();  // message -> view, of the conversation that is shown
    this.drafts = new Map();
    this.list = new ConversationList(page.list, {
      open: (id) => this.open(id, {focus: true}),
      rename: (id, title) => this.rename(id, title),
      remove: (id) => this.remove(id),
    });
    this.handlers = {
      edit: (message, text) => this.edit(message, text),
      regenerate: () => this.regenerate(),
      answerTools: (message, results) => this.answerTools(message, results),
    };
    this.follow = true;  // the end is kept in sight
    this.listen();
    if (!this.open(store.last)) this.start({focus: false});
  }

  listen() {
    const {page} = this;
    page.composer.addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    page.input.addEventListener('keydown', (event) => this.inputKey(event));
    page.input.addEventListener('input', () => this.fitInput());
    page.stop.addEventListener('click', () => this.stop());
    page.scroller.addEventListener('scroll', () => {
      const {scrollTop, clientHeight, scrollHeight} = page.scroller;
      this.follow = scrollHeight - scrollTop - clientHeight < 60;
      page.toEnd.hidden = this.follow;
    }, {passive: true});
    page.toEnd.addEventListener('click', () => {
      this.follow = true;
      this.scroll();
      page.input.focus();
    });
    addEventListener('pagehide', () => {
      for (const {chat} of this.jobs.values()) this.store.save(chat);
    });
    // Another tab of this page has changed a conversation.
    addEventListener('storage', (event) => {
      if (!event.key?.startsWith('mica.')) return;
      this.showList();
      const shown = event.key === `mica.chat.${this.chat.id}` && !this.job;
      const fresh = shown ? this.store.load(this.chat.id) : null;
      if (fresh) this.show(fresh);
    });
  }

  get job() { return this.jobs.get(this.chat.id); }

  // Conversations

  start({focus = true} = {}) {
    this.show(newConversation({...this.store.settings, system: '', tools: ''}));
    if (focus) this.page.input.focus();
  }

  open(id, {focus = false} = {}) {
    const chat = this.jobs.get(id)?.chat ?? (id ? this.store.load(id) : null);
    if (!chat) return false;
    this.show(chat);
    if (focus) this.page.input.focus();
    return true;
  }

  show(chat) {
    if (this.chat && this.chat.id !== chat.id) {
      this.drafts.set(this.chat.id, this.page.input.value);
      this.page.input.value = this.drafts.get(chat.id) ?? '';
      this.fitInput();
    }
    this.chat = chat;
    this.store.last = chat.id;
    this.views.clear();
    this.page.messages.replaceChildren();
    this.follow = true;
    this.showSettings(chat.settings);
    this.draw();
    this.showList();
  }

  showList() {
    this.list.show(this.store.list(), this.chat.id, new Set(this.jobs.keys()));
    document.title = this.chat.messages.length > 0 ? `${titleOf(this.chat)} – Mica` : 'Mica';
  }

  rename(id, title) {
    const chat = id === this.chat.id ? this.chat : this.jobs.get(id)?.chat ?? this.store.load(id);
    if (title !== null && chat && title !== titleOf(chat)) {
      chat.title = title;
      chat.named = true;
      this.save(chat);
    }
    this.showList();
  }

  remove(id) {
    this.jobs.get(id)?.abort.abort();
    const chat = this.jobs.get(id)?.chat ?? this.store.load(id);
    this.jobs.delete(id);
    this.store.remove(id);
    if (id === this.chat.id && !this.open(this.store.list()[0]?.id)) this.start();
    this.showList();
    if (chat)
      this.toast(`“${titleOf(chat)}” was deleted.`, 'Undo', () => {
        this.save(chat);
        this.open(chat.id);
      });
  }

  changeSettings(settings) {
    this.chat.settings = {...settings};
    this.store.settings = settings;
    if (this.chat.messages.length > 0) this.save(this.chat);
  }

  save(chat) {
    if (this.store.save(chat) || this.saidFull) return;
    this.saidFull = true;
    this.toast(
        'The browser’s storage is full: this conversation is not kept. Export and delete some.');
  }

  touch() {
    this.chat.updated = Date.now();
    this.save(this.chat);
    this.showList();
  }

  // Asking

  inputKey(event) {
    if (event.isComposing) return;
    const touch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !touch) {
      event.preventDefault();
      this.send();
    }
    if (event.key === 'ArrowUp' && this.page.input.value === '' && !this.job) {
      const last = this.chat.messages.findLast((message) => message.role === 'user');
      if (!last) return;
      event.preventDefault();
      this.views.get(last)?.startEdit();
    }
  }

  send() {
    const text = this.page.input.value.trim();
    if (this.job) return announce('An answer is still coming. Escape stops it.');
    if (text === '') return;
    this.page.input.value = '';
    this.fitInput();
    this.chat.messages.push({role: 'user', content: text});
    this.answer();
  }

  edit(message, text) {
    const at = this.chat.messages.indexOf(message);
    if (at < 0 || this.job) return;
    this.chat.messages.length = at;
    this.chat.messages.push({role: 'user', content: text});
    this.page.input.focus();
    this.answer();
  }

  regenerate() {
    if (this.job) return;
    const {messages} = this.chat;
    while (messages.length > 0 && messages[messages.length - 1].role === 'assistant')
      messages.pop();
    if (messages.length === 0) return;
    this.page.input.focus();
    this.answer();
  }

  answerTools(message, results) {
    if (this.job) return;
    message.toolCalls.forEach(
        (call, i) => this.chat.messages.push(
            {role: 'tool', toolCallId: call.id, name: call.name, content: results[i]}));
    this.page.input.focus();
    this.answer();
  }

  stop() {
    this.job?.abort.abort();
    this.page.input.focus();
  }

  async answer() {
    const {chat} = this;
    const message = {...emptyAnswer(), state: 'streaming', device: this.device()};
    const body = {
      ...requestFields(chat.settings),
      messages: apiMessages(chat.messages, chat.settings.system)
    };
    chat.messages.push(message);
    const job = {
      chat,
      message,
      abort: new AbortController(),
      clock: {sent: performance.now()},
      pieces: 0,
      note: 'Waiting for the first token',
      saved: performance.now()
    };
    this.jobs.set(chat.id, job);
    this.follow = true;
    this.touch();
    this.draw();
    announce('The answer is on its way.');
    try {
      await this.stream(job, body);
      message.state = 'done';
    } catch (error) {
      this.failed(job, error);
    }
    this.finish(job);
  }

  async stream(job, body) {
    const {message, clock, abort: {signal}} = job;
    for (let attempt = 0;; ++attempt) {
      try {
        clock.sent = performance.now();
        for await (const chunk of streamChat(body, signal)) {
          if (!addChunk(message, chunk)) continue;
          clock.last = performance.now();
          clock.first ??= clock.last;
          ++job.pieces;
          job.note = '';
          this.changed(job);
        }
        return;
      } catch (error) {
        if (!error.loading || attempt >= LOADING_RETRIES || signal.aborted) throw error;
        const seconds = error.retryAfter || 2;
        job.note = `The model is still loading. Trying again in ${seconds} s`;
        this.changed(job);
        await sleep(seconds * 1000, signal);
        job.note = 'Waiting for the first token';
      }
    }
  }

  failed(job, error) {
    const {message} = job;
    if (job.abort.signal.aborted) {
      message.state = 'stopped';
      return;
    }
    message.state = 'failed';
    message.problem =
        error instanceof ApiError ? error.message : `The page failed: ${error.message}`;
    if (error.retryAfter) message.problem += ` It is worth trying again in ${error.retryAfter} s.`;
    if (error.status === 401 || error.status === 403) this.onUnauthorized();
    if (!(error instanceof ApiError)) console.error(error);
  }

  finish(job) {
    const {chat, message} = job;
    message.stats = statsOf(message, job.clock);
    delete message.usage;
    delete message.timings;
    delete message.finish;
    if (this.jobs.get(chat.id) !== job) return;  // deleted meanwhile
    this.jobs.delete(chat.id);
    chat.updated = Date.now();
    this.save(chat);
    this.showList();
    if (chat.id !== this.chat.id) return;
    this.draw();
    if (message.state === 'stopped')
      announce('Stopped.');
    else if (message.state === 'done')
      announce(`Answer: ${partsOf(message).text.slice(0, 3000)}`);
  }

  // Drawing

  // At most once a frame; hidden pages have no frames.
  changed(job) {
    if (performance.now() - job.saved > SAVE_EVERY_MS) {
      job.saved = performance.now();
      this.save(job.chat);
    }
    if (this.planned || job.chat.id !== this.chat.id) return;
    this.planned = true;
    const draw = () => {
      this.planned = false;
      if (this.job) this.drawMessage(this.job.message);
      this.scroll();
    };
    if (document.hidden)
      setTimeout(draw, 250);
    else
      requestAnimationFrame(draw);
  }

  draw() {
    const {page, chat} = this;
    const known = new Set(chat.messages);
    for (const [message, view] of this.views) {
      if (known.has(message)) continue;
      view.element.remove();
      this.views.delete(message);
    }
    for (const message of chat.messages) {
      if (!this.views.has(message)) {
        const view = new MessageView(message, this.handlers);
        this.views.set(message, view);
        page.messages.append(view.element);
      }
      this.drawMessage(message);
    }
    const busy = Boolean(this.job);
    page.empty.hidden = chat.messages.length > 0;
    page.send.hidden = busy;
    page.stop.hidden = !busy;
    this.scroll();
  }

  drawMessage(message) {
    const {messages} = this.chat;
    const last = messages[messages.length - 1] === message;
    const lastUser = messages.findLast((other) => other.role === 'user') === message;
    const live = this.job?.message === message ?
        {note: this.job.note, stats: this.liveStats(this.job)} :
        null;
    this.views.get(message)?.update({live, last, lastUser, idle: !this.job});
  }

  // Chunks are about tokens; the exact count comes with the end.
  liveStats({clock, pieces, message}) {
    const seconds = (clock.last - clock.first) / 1000;
    const speed = message.timings?.predicted_per_second ??
        (seconds > 0.3 ? (pieces - 1) / seconds : undefined);
    return speed === undefined ? {} : {perSecond: speed};
  }

  scroll() {
    const {scroller} = this.page;
    if (this.follow) scroller.scrollTop = scroller.scrollHeight;
  }

  fitInput() {
    const {input} = this.page;
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight * 0.4)}px`;
  }

  // Files

  exportAll() {
    if (this.chat.messages.length > 0) this.store.save(this.chat);
    const blob =
        new Blob([JSON.stringify(this.store.exported(), null, 1)], {type: 'application/json'});
    const link = el('a', {
      href: URL.createObjectURL(blob),
      download: `mica-${new Date().toISOString().slice(0, 10)}.json`
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async importFile(file) {
    try {
      const added = this.store.imported(await file.text());
      this.toast(
          added === 0 ? 'Nothing new was in the file.' :
                        `${added} conversation${added === 1 ? '' : 's'} imported.`);
    } catch (error) {
      this.toast(error.message);
    }
    if (!this.job) this.open(this.chat.id);
    this.showList();
  }
}
