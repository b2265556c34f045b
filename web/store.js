// Conversations, kept in the browser. What comes from storage or a file is foreign: `conversation`
// takes only what has the right shape.

const CHAT = 'mica.chat.', TITLE = 'mica.title.', LAST = 'mica.last', DEFAULTS = 'mica.settings';
const ROLES = new Set(['user', 'assistant', 'tool']);
const STATES = new Set(['done', 'stopped', 'failed', 'cut']);
export const SETTINGS = {
  system: '',
  temperature: '',
  top_p: '',
  top_k: '',
  min_p: '',
  repetition_penalty: '',
  max_tokens: '',
  seed: '',
  thinking: '',
  tools: '',
  model: '',
};

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function newConversation(settings = {}) {
  const now = Date.now();
  return {
    id: newId(),
    title: '',
    named: false,
    created: now,
    updated: now,
    settings: settingsOf(settings),
    messages: []
  };
}

const string = (value, most = 10_000_000) =>
    (typeof value === 'string' ? value.slice(0, most) : '');
const time = (value) => (Number.isFinite(value) && value > 0 && value < 8e15 ? value : Date.now());

function settingsOf(value) {
  const out = {...SETTINGS};
  for (const key of Object.keys(SETTINGS)) out[key] = string(value?.[key]);
  return out;
}

function messageOf(value) {
  if (!value || typeof value !== 'object' || !ROLES.has(value.role)) return null;
  const message = {role: value.role, content: string(value.content)};
  if (value.role === 'tool')
    return {...message, toolCallId: string(value.toolCallId, 200), name: string(value.name, 200)};
  if (value.role === 'user') return message;
  message.reasoning = string(value.reasoning);
  message.toolCalls = (Array.isArray(value.toolCalls) ? value.toolCalls : [])
                          .slice(0, 128)
                          .map((call) => ({
                                 id: string(call?.id, 200),
                                 name: string(call?.name, 200),
                                 arguments: string(call?.arguments)
                               }));
  // An answer that was on its way when the page went is cut.
  message.state = STATES.has(value.state) ? value.state : 'cut';
  if (value.model) message.model = string(value.model, 500);
  if (value.device) message.device = string(value.device, 500);
  if (value.problem) message.problem = string(value.problem, 5000);
  message.stats = {};
  for (const key of ['tokens', 'promptTokens', 'cachedTokens', 'firstMs', 'perSecond'])
    if (Number.isFinite(value.stats?.[key])) message.stats[key] = value.stats[key];
  if (value.stats?.finish) message.stats.finish = string(value.stats.finish, 50);
  return message;
}

// A conversation of the right shape, or null.
export function conversation(value) {
  if (!value || typeof value !== 'object' || !Array.isArray(value.messages)) return null;
  const id = /^[0-9a-f]{24}$/.test(value.id) ? value.id : newId();
  return {
    id,
    title: string(value.title, 200),
    named: value.named === true,
    created: time(value.created),
    updated: time(value.updated),
    settings: settingsOf(value.settings),
    messages: value.messages.slice(0, 16384).map(messageOf).filter(Boolean),
  };
}

export function titleOf(chat) {
  if (chat.named && chat.title) return chat.title;
  const first = chat.messages.find((message) => message.role === 'user')?.content ?? '';
  const line = first.trim().split('\n')[0];
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line || 'New conversation';
}

// Storage where the browser has none: as long as the page lives.
class Memory {
  constructor() { this.map = new Map(); }
  get length() { return this.map.size; }
  key(i) { return [...this.map.keys()][i] ?? null; }
  getItem(key) { return this.map.get(key) ?? null; }
  setItem(key, value) { this.map.set(key, String(value)); }
  removeItem(key) { this.map.delete(key); }
}

function browserStorage() {
  try {
    localStorage.setItem('mica.probe', '1');
    localStorage.removeItem('mica.probe');
    return localStorage;
  } catch {
    return null;
  }
}

export class Store {
  constructor(storage = browserStorage()) {
    this.lasting = storage !== null;
    this.storage = storage ?? new Memory();
  }

  read(key) {
    try {
      return JSON.parse(this.storage.getItem(key));
    } catch {
      return null;
    }
  }

  // [{id, title, updated}], the last changed first.
  list() {
    const out = [];
    for (let i = 0; i < this.storage.length; ++i) {
      const key = this.storage.key(i);
      if (!key?.startsWith(TITLE)) continue;
      const entry = this.read(key);
      out.push({
        id: key.slice(TITLE.length),
        title: string(entry?.title, 200) || 'New conversation',
        updated: time(entry?.updated)
      });
    }
    return out.sort((a, b) => b.updated - a.updated || a.id.localeCompare(b.id));
  }

  load(id) {
    const value = this.read(CHAT + id);
    const chat = conversation(value);
    if (chat) chat.id = id;
    return chat;
  }

  // False when the browser has no room left.
  save(chat) {
    try {
      this.storage.setItem(CHAT + chat.id, JSON.stringify(chat));
      this.storage.setItem(
          TITLE + chat.id, JSON.stringify({title: titleOf(chat), updated: chat.updated}));
      return true;
    } catch {
      return false;
    }
  }

  remove(id) {
    this.storage.removeItem(CHAT + id);
    this.storage.removeItem(TITLE + id);
  }

  exported() {
    const conversations = this.list().map(({id}) => this.load(id)).filter(Boolean);
    return {format: 'mica-conversations', version: 1, conversations};
  }

  // Adds the conversations of an exported file; one that is there already is kept as it is when it
  // is newer. Throws Error with words for the reader.
  imported(text) {
    let file;
    try {
      file = JSON.parse(text);
    } catch (error) {
      throw new Error(`The file is no JSON: ${error.message}`);
    }
    if (file?.format !== 'mica-conversations' || !Array.isArray(file.conversations))
      throw new Error(
          'The file has no conversations of Mica: “format” is not “mica-conversations”.');
    let added = 0;
    for (const chat of file.conversations.map(conversation)) {
      if (!chat) continue;
      const known = this.load(chat.id);
      if (known && known.updated >= chat.updated) continue;
      if (!this.save(chat))
        throw new Error(`The browser’s storage is full; ${added} conversations were imported.`);
      ++added;
    }
    return added;
  }

  get last() { return string(this.storage.getItem(LAST), 100); }
  set last(id) { this.keep(LAST, id); }
  get settings() { return settingsOf(this.read(DEFAULTS)); }
  set settings(value) { this.keep(DEFAULTS, JSON.stringify(value)); }
  keep(key, text) {
    try {
      this.storage.setItem(key, text);
    } catch {
      // full: the next save of a conversation says so
    }
  }
}
