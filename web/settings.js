// The panel with instructions and sampling. Empty fields are the server's defaults and are not
// sent.
import {apiKey, setApiKey} from './api.js';
import {el} from './dom.js';
import {SETTINGS} from './store.js';

// Numbers as the server takes them (docs/server.md).
const NUMBERS = [
  {key: 'temperature', label: 'Temperature', least: 0, most: 1e6, step: 0.1},
  {key: 'top_p', label: 'Top p', least: 0, most: 1, step: 0.05},
  {key: 'top_k', label: 'Top k', least: -1, most: 2147483647, step: 1},
  {key: 'min_p', label: 'Min p', least: 0, most: 1, step: 0.01},
  {key: 'repetition_penalty', label: 'Repetition penalty', least: 0, most: 1e6, step: 0.05},
  {key: 'max_tokens', label: 'Max tokens', least: 1, most: 2147483647, step: 1},
  {key: 'seed', label: 'Seed', least: -9007199254740991, most: 9007199254740991, step: 1},
];

// What is wrong with a field, or ''.
export function numberProblem({least, most, step}, text) {
  if (text.trim() === '') return '';
  const value = Number(text);
  if (!Number.isFinite(value)) return 'Not a number';
  if (step === 1 && !Number.isInteger(value)) return 'A whole number, please';
  if (value < least) return `At least ${least}`;
  if (value > most) return `At most ${most}`;
  return '';
}

export function parseTools(text) {
  if (text.trim() === '') return {tools: null, problem: ''};
  try {
    const tools = JSON.parse(text);
    const list = Array.isArray(tools) ? tools : [tools];
    for (const tool of list)
      if (typeof tool?.function?.name !== 'string')
        return {tools: null, problem: 'Each tool needs a function with a name'};
    return {tools: list, problem: ''};
  } catch (error) {
    return {tools: null, problem: error.message};
  }
}

// Fields of the request; wrong ones are left out (the panel marks them).
export function requestFields(settings) {
  const out = {};
  for (const number of NUMBERS) {
    const text = settings[number.key] ?? '';
    if (text.trim() !== '' && numberProblem(number, text) === '') out[number.key] = Number(text);
  }
  if (settings.model) out.model = settings.model;
  if (settings.thinking) out.chat_template_kwargs = {enable_thinking: settings.thinking === 'on'};
  const {tools} = parseTools(settings.tools ?? '');
  if (tools && tools.length > 0) out.tools = tools;
  return out;
}

export class SettingsPanel {
  // `onChange(settings)` after each edit; `onKey()` when the API key changes.
  constructor(form, {onChange, onKey}) {
    this.form = form;
    this.onChange = onChange;
    this.problems = new Map();
    this.numbers = form.querySelector('#numbers');
    for (const number of NUMBERS) this.numbers.append(this.numberField(number));
    this.key = form.elements.namedItem('key');
    this.key.value = apiKey();
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', (event) => this.edited(event.target));
    form.addEventListener('change', (event) => {
      if (event.target === this.key) onKey();
    });
    form.querySelector('#reset').addEventListener('click', () => {
      this.show({
        ...SETTINGS,
        system: this.settings.system,
        tools: this.settings.tools,
        model: this.settings.model
      });
      this.onChange(this.settings);
    });
    this.show(SETTINGS);
  }

  numberField(number) {
    const id = `set-${number.key}`;
    return el(
        'div', {class: 'field'},
        el('label',
           {for: id
           },
           number.label),
        el('input', {
          id,
          name: number.key,
          inputmode: number.step === 1 ? 'numeric' : 'decimal',
          autocomplete: 'off',
          placeholder: 'default',
          'aria-describedby': `${id}-problem`
        }),
        el('p', {class: 'problem', id: `${id}-problem`}));
  }

  edited(input) {
    if (input === this.key) return setApiKey(this.key.value.trim());
    if (!(input.name in SETTINGS)) return;
    this.settings[input.name] = input.value;
    this.check();
    this.onChange(this.settings);
  }

  show(settings) {
    this.settings = {...SETTINGS, ...settings};
    for (const key of Object.keys(SETTINGS)) {
      const input = this.form.elements.namedItem(key);
      if (key === 'model') this.addModel(this.settings.model);
      if (input) input.value = this.settings[key];
    }
    this.check();
  }

  check() {
    for (const number of NUMBERS)
      this.mark(number.key, numberProblem(number, this.settings[number.key]));
    this.mark('tools', parseTools(this.settings.tools).problem);
  }

  mark(key, problem) {
    const input = this.form.elements.namedItem(key);
    input.setAttribute('aria-invalid', problem ? 'true' : 'false');
    this.form.querySelector(`#set-${key}-problem`).textContent = problem;
  }

  // More than one model: a choice.
  showModels(ids) {
    const select = this.form.elements.namedItem('model');
    select.replaceChildren(
        el('option', {value: ''}, 'The server’s own'),
        ...ids.map((id) => el('option', {value: id}, id)));
    this.form.querySelector('#model-field').hidden = ids.length < 2;
    if (!ids.includes(this.settings.model)) this.settings.model = '';
    select.value = this.settings.model;
  }
  addModel(id) {
    const select = this.form.elements.namedItem('model');
    if (id && ![...select.options].some((option) => option.value === id))
      select.append(el('option', {value: id}, id));
  }

  focusKey() { this.key.focus(); }
}
