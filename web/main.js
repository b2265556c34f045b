// Puts the page together: pages by hash, drawers, theme, the server's state.
import {health, models} from './api.js';
import {Chat} from './chat.js';
import {announce, el} from './dom.js';
import {LoadPage} from './load.js';
import {SettingsPanel} from './settings.js';

const $ = (id) => document.getElementById(id);
const wide = matchMedia('(min-width: 60rem)');
const dark = matchMedia('(prefers-color-scheme: dark)');
let server = {state: 'unknown'};

// A note at the bottom, with one thing to do about it.
let toastTimer = 0;
function toast(text, action, onAction) {
  clearTimeout(toastTimer);
  const box = $('toast');
  const close = () => box.replaceChildren();
  box.replaceChildren(el('p', {}, text));
  if (action)
    box.append(
        el('button', {
          type: 'button',
          class: 'quiet',
          onclick: () => {
            close();
            onAction();
          }
        },
           action));
  toastTimer = setTimeout(close, 10000);
}

// Drawers: beside the chat where there is room, over it where not.
const drawers = {
  list: {panel: $('sidebar'), button: $('open-list')},
  settings: {panel: $('settings'), button: $('open-settings')}
};

function setDrawer(name, open, {focus = true} = {}) {
  const {panel, button} = drawers[name];
  if (open && !wide.matches)
    for (const other of Object.keys(drawers))
      if (other !== name) setDrawer(other, false, {focus: false});
  panel.classList.toggle('open', open);
  button.setAttribute('aria-expanded', String(open));
  panel.inert = !open;
  const over = open && !wide.matches;
  $('shade').hidden = !over;
  for (const covered of [$('chat-main'), document.querySelector('header')]) covered.inert = over;
  if (open && focus) panel.querySelector('input, textarea, button')?.focus();
  if (!open && focus) button.focus();
}
const isOpen = (name) => drawers[name].panel.classList.contains('open');
const openOver = () => Object.keys(drawers).find((name) => isOpen(name) && !wide.matches);

for (const [name, {button, panel}] of Object.entries(drawers)) {
  button.addEventListener('click', () => setDrawer(name, !isOpen(name)));
  panel.querySelector('.close').addEventListener('click', () => setDrawer(name, false));
}
$('shade').addEventListener('click', () => setDrawer(openOver(), false));
function fitDrawers() {
  setDrawer('settings', false, {focus: false});
  setDrawer('list', wide.matches, {focus: false});
}
wide.addEventListener('change', fitDrawers);
fitDrawers();

const settings = new SettingsPanel($('settings-form'), {
  onChange: (value) => chat.changeSettings(value),
  onKey: () => askServer(),
});
const page = {
  list: $('conversations'),
  messages: $('messages'),
  empty: $('empty'),
  scroller: $('scroller'),
  toEnd: $('to-end'),
  composer: $('composer'),
  input: $('composer-text'),
  send: $('send'),
  stop: $('stop'),
};
const chat = new Chat(page, {
  showSettings: (value) => settings.show(value),
  toast,
  onUnauthorized: () => {
    setDrawer('settings', true);
    settings.focusKey();
  },
  device: () => server.device ?? '',
});
const load = new LoadPage($('load-page'));

$('new-chat').addEventListener('click', () => {
  if (openOver()) setDrawer('list', false);
  chat.start();
});
$('conversations').addEventListener('click', (event) => {
  if (event.target.closest('.open') && openOver()) {
    setDrawer('list', false);
    page.input.focus();
  }
});
$('export').addEventListener('click', () => chat.exportAll());
$('import').addEventListener('click', () => $('import-file').click());
$('import-file').addEventListener('change', async (event) => {
  const [file] = event.target.files;
  if (file) await chat.importFile(file);
  event.target.value = '';
});
if (!chat.store.lasting)
  toast('This browser keeps nothing for this page: conversations end with it.');

// Keys that hold everywhere.
addEventListener('keydown', (event) => {
  if (event.isComposing || event.defaultPrevented) return;
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key === 'Escape') {
    if (openOver())
      setDrawer(openOver(), false);
    else if (!$('chat-page').hidden)
      chat.stop();
  } else if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    if ($('chat-page').hidden) location.hash = '#chat';
    page.input.focus();
  }
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  if ($('chat-page').hidden)
    $('load-page').focus();
  else
    page.input.focus();
});

// Pages
function route() {
  const onLoad = location.hash === '#load';
  $('chat-page').hidden = onLoad;
  $('load-page').hidden = !onLoad;
  for (const [id, here] of [['to-chat', !onLoad], ['to-load', onLoad]]) {
    if (here)
      $(id).setAttribute('aria-current', 'page');
    else
      $(id).removeAttribute('aria-current');
  }
  for (const {button} of Object.values(drawers)) button.hidden = onLoad;
  if (onLoad && openOver()) setDrawer(openOver(), false, {focus: false});
  load.setVisible(onLoad && !document.hidden);
  if (!onLoad) chat.draw();
}
addEventListener('hashchange', () => {
  route();
  announce($('load-page').hidden ? 'Chat' : 'Load of the server');
});

// Theme: the system's until another one is chosen.
function shownTheme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? 'dark' : 'light');
}
function showTheme() {
  const other = shownTheme() === 'dark' ? 'light' : 'dark';
  $('theme').setAttribute('aria-label', `Use the ${other} theme`);
  $('theme').title = `Use the ${other} theme`;
  $('theme').querySelector('use').setAttribute('href', other === 'dark' ? '#i-moon' : '#i-sun');
}
$('theme').addEventListener('click', () => {
  const other = shownTheme() === 'dark' ? 'light' : 'dark';
  const system = dark.matches ? 'dark' : 'light';
  if (other === system)
    delete document.documentElement.dataset.theme;
  else
    document.documentElement.dataset.theme = other;
  try {
    if (other === system)
      localStorage.removeItem('mica.theme');
    else
      localStorage.setItem('mica.theme', other);
  } catch {
    // not kept
  }
  showTheme();
});
dark.addEventListener('change', showTheme);
showTheme();

// The server's state, asked while the page is seen.
const STATES = {
  ok: 'Ready',
  loading: 'The model is loading',
  ending: 'The server is ending',
  error: 'The server has failed',
  stuck: 'The server is stuck',
  unreachable: 'The server can’t be reached',
};
let asking = 0;
async function askServer() {
  clearTimeout(asking);
  const before = server.state;
  server = await health();
  const ok = server.state === 'ok';
  const name = ok ? String(server.model ?? '').split('/').pop() : '';
  $('status').dataset.state = server.state;
  const place = [name, server.device].filter(Boolean).join(' · ');
  $('status-text').textContent = ok ? place : STATES[server.state] ?? server.state;
  $('status').title =
      server.reason ?? (ok ? [server.model, server.device].filter(Boolean).join(' on ') : '');
  const failed = ['error', 'stuck'].includes(server.state) && server.reason;
  $('empty-device').textContent =
      ok && name ? `${name} on ${server.device ?? 'this server'}` :
      failed     ? `${$('status-text').textContent}: ${server.reason}` :
                   $('status-text').textContent;
  if (ok && before !== 'ok') models().then((ids) => settings.showModels(ids), () => {});
  if (before !== server.state && before !== 'unknown') announce($('status-text').textContent);
  clearTimeout(asking);
  if (!document.hidden) asking = setTimeout(askServer, ok ? 15000 : 2000);
}
document.addEventListener('visibilitychange', () => {
  load.setVisible(location.hash === '#load' && !document.hidden);
  if (!document.hidden) askServer();
});

route();
askServer();
if (wide.matches && location.hash !== '#load') page.input.focus();
