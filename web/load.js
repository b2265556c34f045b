// The page of the server's load: /metrics each second while it is seen.
import {metricsText} from './api.js';
import {Chart} from './chart.js';
import {el} from './dom.js';
import {bucketsOf, quantile, since} from './histogram.js';
import {findFamily, largest, parseMetrics, total} from './prometheus.js';

const MINUTE = 60 * 1000;
const SPAN = 5 * MINUTE;
const EVERY = 1000;
const EVERY_WITHOUT = 5000;    // while there are none
const RATE_WINDOW = 3000;      // of speeds, ms
const LATENCY_WINDOW = 10000;  // of quantiles and hits, ms

const short = (value) => {
  if (value >= 1e9) return `${trim(value / 1e9)} G`;
  if (value >= 1e6) return `${trim(value / 1e6)} M`;
  if (value >= 1e4) return `${trim(value / 1e3)} k`;
  return trim(value);
};
const trim = (value) =>
    (value >= 100 || Number.isInteger(value) ? String(Math.round(value)) :
         value >= 10                         ? value.toFixed(1).replace(/\.0$/, '') :
                                               value.toFixed(2).replace(/\.?0+$/, ''));
const seconds = (value) =>
    (value >= 1 ? `${trim(value)} s` :
         value === 0    ? '0' :
         value >= 0.001 ? `${trim(value * 1000)} ms` :
                          `${trim(value * 1e6)} µs`);
const percent = (value) => `${trim(value * 100)} %`;

// What is drawn, from the metrics that are there. Each series: the names its family may have and
// how its value comes from scrapes.
const rate = (label, ...names) => ({label, names, kind: 'rate'});
const gauge = (label, ...names) => ({label, names, kind: 'gauge'});
const peak = (label, ...names) => ({label, names, kind: 'peak'});
const at = (q, ...names) => ({label: `p${q * 100}`, names, kind: 'quantile', q});
const both = (...names) => [at(0.5, ...names), at(0.95, ...names)];
const PANELS = [
  {
    title: 'Tokens per second',
    about: `Averages of ${RATE_WINDOW / 1000} s`,
    format: short,
    series: [rate('Generated', 'generation_tokens_total'), rate('Prompt', 'prompt_tokens_total')]
  },
  {
    title: 'Requests',
    about: 'At this moment',
    format: short,
    series: [gauge('Running', 'num_requests_running'), gauge('Waiting', 'num_requests_waiting')]
  },
  {
    title: 'Time to first token',
    about: `Requests of the last ${LATENCY_WINDOW / 1000} s`,
    format: seconds,
    series: both('time_to_first_token_seconds')
  },
  {
    title: 'Time between tokens',
    about: `Tokens of the last ${LATENCY_WINDOW / 1000} s`,
    format: seconds,
    series: both('inter_token_latency_seconds', 'time_per_output_token_seconds')
  },
  {
    title: 'Keys and values',
    about: 'Share of the cache’s blocks that requests use',
    format: percent,
    top: 1,
    series: [peak('In use', 'kv_cache_usage_perc', 'gpu_cache_usage_perc')]
  },
  {
    title: 'Prompt tokens from the cache',
    about: `Share over the last ${LATENCY_WINDOW / 1000} s`,
    format: percent,
    top: 1,
    series: [{
      label: 'Hits',
      names: ['prefix_cache_hits_total', 'gpu_prefix_cache_hits_total'],
      of: ['prefix_cache_queries_total', 'gpu_prefix_cache_queries_total'],
      kind: 'share'
    }]
  },
  {
    title: 'Time of a whole request',
    about: `Requests of the last ${LATENCY_WINDOW / 1000} s`,
    format: seconds,
    series: both('e2e_request_latency_seconds')
  },
];

// The value of a series now, from scrapes [{time, families}], ascending; null when there is none.
export function seriesValue(series, scrapes) {
  const now = scrapes[scrapes.length - 1];
  const family = findFamily(now.families, series.names);
  if (!family) return null;
  if (series.kind === 'gauge') return total(family);
  if (series.kind === 'peak') return largest(family);
  const window = series.kind === 'rate' ? RATE_WINDOW : LATENCY_WINDOW;
  const before = scrapes.findLast(({time}) => time <= now.time - window * 0.95) ?? scrapes[0];
  if (before === now) return null;
  const old = findFamily(before.families, series.names);
  if (series.kind === 'quantile') {
    const buckets = bucketsOf(family);
    return buckets && quantile(since(buckets, bucketsOf(old)), series.q);
  }
  const grown = growth(family, old);
  if (series.kind === 'rate') return grown / ((now.time - before.time) / 1000);
  const asked = growth(findFamily(now.families, series.of), findFamily(before.families, series.of));
  return asked > 0 ? Math.min(1, grown / asked) : null;
}

function growth(now, before) {
  const a = total(now) ?? 0, b = total(before) ?? 0;
  return a >= b ? a - b : a;  // smaller: the server began anew
}

export class LoadPage {
  constructor(element) {
    this.note = element.querySelector('#load-note');
    this.cards = element.querySelector('#load-cards');
    this.all = element.querySelector('#load-all');
    this.filter = element.querySelector('#load-filter');
    this.rows = element.querySelector('#load-rows');
    this.scrapes = [];  // the last LATENCY_WINDOW
    this.panels = PANELS.map((panel) => ({...panel, chart: null, samples: []}));
    this.visible = false;
    this.all.addEventListener('toggle', () => this.showAll());
    this.filter.addEventListener('input', () => this.showAll());
    addEventListener('resize', () => this.draw());
  }

  setVisible(visible) {
    if (visible === this.visible) return;
    this.visible = visible;
    clearTimeout(this.timer);
    this.abort?.abort();
    if (visible) this.tick();
  }

  async tick() {
    const started = performance.now();
    const abort = this.abort = new AbortController();
    let wait = EVERY;
    try {
      const text = await metricsText(abort.signal);
      if (abort.signal.aborted) return;
      if (text === null) {
        wait = EVERY_WITHOUT;
        this.say(
            'This server has no /metrics: there is nothing to show. Asked again every 5 seconds.',
            true);
      } else {
        this.take(parseMetrics(text), Date.now());
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      wait = EVERY_WITHOUT;
      this.say(`${error.message} Asked again every 5 seconds.`, true);
    }
    this.draw();
    this.timer = setTimeout(() => this.tick(), Math.max(100, wait - (performance.now() - started)));
  }

  say(text, trouble = false) {
    if (this.note.textContent !== text) this.note.textContent = text;
    this.note.classList.toggle('trouble', trouble);
  }

  take(families, time) {
    this.families = families;
    this.scrapes.push({time, families});
    while (this.scrapes.length > 2 && this.scrapes[1].time <= time - LATENCY_WINDOW)
      this.scrapes.shift();
    let shown = 0;
    for (const panel of this.panels) {
      if (panel.series.some(({names}) => findFamily(families, names))) {
        panel.samples.push(
            {time, values: panel.series.map((series) => seriesValue(series, this.scrapes))});
        while (panel.samples[0].time < time - SPAN - 5000) panel.samples.shift();
        if (!panel.chart) this.addChart(panel);
      }
      if (panel.chart) ++shown;
    }
    this.say(
        shown > 0 ?
            'From /metrics, each second while this page is seen. Last five minutes.' :
            'This server’s /metrics has none of the numbers that are drawn; all are below.');
    this.all.hidden = families.size === 0;
    this.showAll();
  }

  addChart(panel) {
    panel.chart = new Chart(panel);
    this.cards.replaceChildren(
        ...this.panels.filter(({chart}) => chart).map(({chart}) => chart.element));
  }

  draw() {
    if (!this.visible) return;
    const now = Date.now();
    const first = Math.min(now, ...this.panels.map(({samples}) => samples[0]?.time ?? now));
    // As many minutes as there are, at least one.
    const span = Math.min(SPAN, Math.max(1, Math.ceil((now - first) / MINUTE)) * MINUTE);
    for (const {chart, samples} of this.panels) chart?.draw(samples, now, span);
  }

  // Every sample, as it stands.
  showAll() {
    if (!this.all.open || !this.families) return;
    const wanted = this.filter.value.trim().toLowerCase();
    const rows = [];
    for (const {help, samples} of this.families.values())
      for (const {name, labels, value} of samples) {
        const set = Object.entries(labels).map(([key, text]) => `${key}="${text}"`).join(', ');
        if (wanted && !`${name}{${set}}`.toLowerCase().includes(wanted)) continue;
        rows.push({
          name,
          set,
          value: Number.isInteger(value) ? String(value) : String(+value.toPrecision(6)),
          help
        });
      }
    const key = rows.map(({name, set}) => name + set).join('\n');
    if (key !== this.shownRows) {
      this.shownRows = key;
      this.rows.replaceChildren(...rows.map(
          ({name, set, value, help}) =>
              el('tr', {title: help}, el('td', {}, name), el('td', {}, set),
                 el('td', {class: 'to-right'}, value))));
      return;
    }
    rows.forEach(({value}, i) => (this.rows.children[i].lastChild.textContent = value));
  }
}
