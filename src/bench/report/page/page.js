'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);
const charts = {};
const titles = Object.fromEntries(data.definitions.map((d) => [d.name, d.title]));
let picked = data.runs.length - 1;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {}))
    if (key === 'onclick') node.addEventListener('click', value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ''));
  return node;
}

// Three digits, thousands apart.
function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '';
  const size = Math.abs(value);
  if (size >= 999.5) return Math.round(value).toLocaleString('en-US');
  return size === 0 || size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toPrecision(3);
}
const ms = (seconds) => seconds === undefined || seconds === null ? '' : number(1e3 * seconds);

const figure = (run, name) => run.summary.figures[name];
const rate = (run, name) => run.summary.rates[name];
const version = (run) => run.provenance.engine.version ||
    (run.plan.values || []).filter((v) => v.name === 'backend_version').map((v) => v.value)[0] || '';
const model = (run) => run.provenance.model.id || '';
const severalModels = () => new Set(shown().map(model)).size > 1;
const seriesName = (run) => [run.plan.backend, version(run), severalModels() ? model(run) : ''].filter(Boolean).join(' ');
const runName = (run) => `${data.runs.indexOf(run) + 1}. ${seriesName(run)}, ${run.workload.arrivals || 'load not known'}`;
const shown = () => data.runs.filter((run) => !$('model').value || model(run) === $('model').value);

// Lists of runs by a key, in the order in which they first occur.
function grouped(runs, key) {
  const groups = new Map();
  for (const run of runs) {
    const name = key(run);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(run);
  }
  return groups;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const POINTS = ['circle', 'rectRot', 'triangle', 'rect', 'crossRot', 'star', 'cross', 'dash'];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
function look(index) {
  const colour = css(`--s${index % 8}`);
  return {
    borderColor: colour, backgroundColor: colour, pointStyle: POINTS[index % 8], borderWidth: 2, pointRadius: 5,
    pointHoverRadius: 7, borderDash: DASHES[Math.floor(index / 8) % 4]
  };
}
const seriesIndex = (run) => [...grouped(data.runs, seriesName).keys()].indexOf(seriesName(run));

function axis(title, extra) {
  return {
    title: {display: true, text: title, color: css('--soft')}, ticks: {color: css('--soft'), maxRotation: 0},
    grid: {color: css('--line')}, ...extra
  };
}

function draw(id, label, config) {
  if (charts[id]) charts[id].destroy();
  $(id).setAttribute('aria-label', label);
  config.options = {
    responsive: true, maintainAspectRatio: false, animation: false, ...config.options,
    plugins: {
      ...config.options.plugins,
      legend: {
        position: 'bottom', labels: {color: css('--text'), usePointStyle: true, boxHeight: 7},
        ...(config.options.plugins || {}).legend
      }
    }
  };
  charts[id] = new Chart($(id), config);
}

// A backend, and its work where there are several: points of other work are no line.
function workName(run) {
  const several = new Set(shown().map((one) => one.workload.name)).size > 1;
  return seriesName(run) + (several ? `, ${run.workload.name}` : '');
}

// One point a run, a line of those with the same name in the order of `order`. x, y, order and
// nameOf take a run.
function drawPoints(id, label, x, y, xTitle, yTitle, order = (run) => run.concurrency, nameOf = workName) {
  const groups = [...grouped(shown(), nameOf)];
  const one = new Set(shown().map(seriesName)).size === groups.length;
  const datasets = groups.map(([name, runs], i) => ({
    label: name, showLine: true, ...look(one ? seriesIndex(runs[0]) : i),
    data: runs.filter((run) => Number.isFinite(x(run)) && Number.isFinite(y(run)))
              .sort((a, b) => order(a) - order(b))
              .map((run) => ({x: x(run), y: y(run), run}))
  })).filter((dataset) => dataset.data.length);
  draw(id, label, {
    type: 'scatter', data: {datasets},
    options: {
      onClick: (event, hits) => hits.length && pick(data.runs.indexOf(datasets[hits[0].datasetIndex].data[hits[0].index].run)),
      scales: {x: axis(xTitle, {beginAtZero: true}), y: axis(yTitle, {beginAtZero: true})},
      plugins: {tooltip: {callbacks: {label: ({raw}) => [runName(raw.run), `${xTitle}: ${number(raw.x)}`, `${yTitle}: ${number(raw.y)}`]}}}
    }
  });
}

function drawThroughput() {
  const [name, statistic] = $('latency').value.split('/');
  const x = (run) => figure(run, name) ? 1e3 * figure(run, name)[statistic] : NaN;
  drawPoints('throughput', 'Output throughput over latency, one point a run', x,
             (run) => rate(run, 'output_throughput'), `${titles[name]} ${statistic}, ms`, 'output tok/s');
}

function drawPareto() {
  const perGpu = shown().some((run) => run.tokens_per_gpu !== undefined);
  drawPoints('pareto', 'Tokens a second for one user against one GPU, one point a run', (run) => run.tokens_per_user,
             (run) => perGpu ? run.tokens_per_gpu : rate(run, 'output_throughput'), 'tok/s per user',
             perGpu ? 'tok/s per GPU' : 'tok/s of the machine (no GPU)');
}

// Where prompts have several lengths.
function drawDepth() {
  const x = (run) => figure(run, 'prompt_tokens') ? figure(run, 'prompt_tokens').median : NaN;
  const y = (run) => figure(run, 'decode_rate') ? figure(run, 'decode_rate').median : NaN;
  const runs = shown().filter((run) => Number.isFinite(x(run)) && Number.isFinite(y(run)));
  $('depths').hidden = new Set(runs.map(x)).size < 2;
  if (!$('depths').hidden)
    drawPoints('depth', 'Decode rate over the length of the prompt, one point a run', x, y, 'prompt tokens', 'tok/s of a request', x,
               (run) => `${seriesName(run)}, ${run.workload.arrivals}`);
}

function drawDistribution() {
  const name = $('quantity').value;
  const runs = shown().filter((run) => run.quantiles[name]);
  const datasets = runs.map((run, i) => ({
    label: runName(run), ...look(i), pointRadius: 0, pointHoverRadius: 4, hidden: i >= 8, stepped: false,
    data: run.quantiles[name].map((value, percent) => ({x: 1e3 * value, y: percent}))
  }));
  draw('distribution', `Distribution of ${titles[name]}, one line a run`, {
    type: 'scatter', data: {datasets: datasets.map((d) => ({...d, showLine: true}))},
    options: {
      interaction: {mode: 'nearest', axis: 'y', intersect: false},
      scales: {x: axis(`${titles[name]}, ms`, {}), y: axis('% of values at or below', {min: 0, max: 100})},
      plugins: {tooltip: {callbacks: {label: ({raw, dataset}) => `${dataset.label}: p${raw.y} ${number(raw.x)} ms`}}}
    }
  });
}

function figureValue(run, choice) {
  const [kind, name, statistic] = choice.split('/');
  if (kind === 'rate') return rate(run, name);
  const values = figure(run, name);
  if (!values) return NaN;
  return unitOf(name) === 's' ? 1e3 * values[statistic] : values[statistic];
}
const unitOf = (name) => (data.definitions.find((d) => d.name === name) || {}).unit;

function drawHistory() {
  const choice = $('figure').value;
  const key = (run) => [seriesName(run), run.workload.arrivals].filter(Boolean).join(', ');
  const datasets = [...grouped(shown(), key)].map(([name, runs], i) => ({
    label: name, showLine: true, ...look(i),
    data: runs.map((run) => ({x: Date.parse(run.started), y: figureValue(run, choice), run}))
              .filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y)).sort((a, b) => a.x - b.x)
  })).filter((dataset) => dataset.data.length);
  const times = datasets.flatMap((d) => d.data.map((p) => p.x));
  const wide = Math.max(...times) - Math.min(...times) > 2 * 86400e3;
  const when = (time) => new Date(time).toISOString().slice(wide ? 0 : 5, wide ? 10 : 16).replace('T', ' ');
  const title = $('figure').selectedOptions[0].textContent;
  draw('history', `${title} of each run over time`, {
    type: 'scatter', data: {datasets},
    options: {
      scales: {
        x: axis('started (UTC)', {ticks: {color: css('--soft'), maxRotation: 0, autoSkipPadding: 12, maxTicksLimit: 6, callback: (v) => when(v)}}),
        y: axis(title, {beginAtZero: true})
      },
      plugins: {tooltip: {callbacks: {label: ({raw}) => [`${raw.run.started}`, `${runName(raw.run)}: ${number(raw.y)}`]}}}
    }
  });
}

function drawTimeline(run) {
  const rows = run.timeline;
  const begin = Math.min(...rows.map((r) => r[0]));
  const at = (time) => time === null ? null : time - begin;
  const bar = (from, to) => from === null || to === null ? null : [at(from), at(to)];
  const ok = (r) => r[3] === 'ok';
  const parts = [
    ['until the first token', css('--s3'), (r) => ok(r) ? bar(r[0], r[1] === null ? r[2] : r[1]) : null],
    ['answer', css('--s0'), (r) => ok(r) ? bar(r[1], r[2]) : null],
    ['did not finish', css('--s1'), (r) => ok(r) ? null : bar(r[0], r[2] === null ? r[0] : r[2])]
  ];
  const datasets = parts.map(([label, colour, part]) => ({
    label, backgroundColor: colour, grouped: false, barPercentage: 1, categoryPercentage: 0.9, data: rows.map(part)
  })).filter((d) => d.data.some(Boolean));
  const total = run.summary.requests;
  $('timeline-note').textContent = rows.length < total ? `The first ${rows.length} of ${total} requests, in the order in which they ended.`
                                                       : 'Each line is one request, in the order in which they ended.';
  draw('timeline', 'When each request waited and was answered', {
    type: 'bar', data: {labels: rows.map((r, i) => i + 1), datasets},
    options: {
      indexAxis: 'y', scales: {x: axis('seconds', {min: 0}), y: axis('request', {grid: {display: false}})},
      plugins: {
        tooltip: {
          callbacks: {
            label: ({dataset, raw}) => `${dataset.label}: ${number(1e3 * (raw[1] - raw[0]))} ms`,
            afterLabel: ({dataIndex}) => `${rows[dataIndex][4]} + ${rows[dataIndex][5]} tokens, ${rows[dataIndex][3]}`
          }
        }
      }
    }
  });
}

function drawTelemetry(run) {
  const all = run.telemetry.concat(run.server).filter((s) => s.values.length > 1);
  $('telemetry-part').hidden = all.length === 0;
  if (!all.length) return;
  const before = $('series').value;
  $('series').replaceChildren(...all.map((s, i) => el('option', {value: i}, `${s.name}${s.source ? ' (' + s.source + ')' : ''}`)));
  if (all[before]) $('series').value = before;
  const series = all[$('series').value];
  const timed = series.times.length > 0;
  draw('telemetry', series.name, {
    type: 'scatter',
    data: {datasets: [{label: series.name, showLine: true, ...look(0), pointRadius: 1.5, data: series.values.map((y, i) => ({x: timed ? series.times[i] : i + 1, y}))}]},
    options: {scales: {x: axis(timed ? 'seconds' : 'request', {}), y: axis(series.unit || 'value', {beginAtZero: true})}, plugins: {legend: {display: false}}}
  });
}

function facts(run) {
  const p = run.provenance, w = run.workload, gpu = p.gpus[0] || {};
  const bytes = (n) => n ? `${(n / 2 ** 30).toFixed(1)} GiB` : '';
  const list = [
    ['id', run.id], ['started', run.started], ['state', [run.state, run.error].filter(Boolean).join(': ')],
    ['imported from', run.imported ? `${run.imported.program}, ${run.imported.file || ''} (${run.imported.layout})` : ''],
    ['engine', [run.plan.backend, version(run), p.engine.image, p.engine.image_digest].filter(Boolean).join(', ')],
    ['command', run.plan.command ? el('code', {}, run.plan.command.join(' ')) : ''], ['URL', run.plan.url],
    ['model', [model(run), p.model.revision, p.model.format].filter(Boolean).join(', ')],
    ['work', [w.name, w.cache && `${w.cache} cache`, w.exact_output ? 'exact output length' : '', `seed ${w.seed}`].filter(Boolean).join(', ')],
    ['load', `${w.arrivals || 'not known'}; ${run.summary.requests} requests, ${run.summary.warmup} of warm-up before`],
    ['goodput', run.summary.goodput ? `${number(run.summary.goodput.rate)} requests/s within ${w.limits} (${number(100 * run.summary.goodput.share)} %)` : ''],
    ['hardware', run.hardware], ['driver, CUDA', [p.driver, p.cuda].filter(Boolean).join(', ')],
    ['GPU', Object.entries(gpu).filter(([k]) => /clocks|power|pcie|memory.total|ecc.mode|persistence/.test(k)).map(([k, v]) => `${k} ${v}`).join(', ')],
    ['host', [p.host.cpu, p.host.cpus && `${p.host.cpus} CPUs`, bytes(p.host.memory_bytes), p.host.kernel, p.host.governor].filter(Boolean).join(', ')],
    ...run.details.map((text) => text.split(/: (.*)/s)),
    ['start', run.phases.map((phase) => `${phase.name} ${number(phase.seconds)} s`).join(', ')],
    ['not known', run.imported ? (run.imported.missing || []).join(' ') : ''], ['Mica', p.mica_version]
  ];
  $('facts').replaceChildren(...list.filter(([, value]) => value).flatMap(([key, value]) => [el('dt', {}, key), el('dd', {}, value)]));
}

function drawRun() {
  const run = data.runs[picked];
  $('details').hidden = !run;
  if (!run) return;
  $('run').value = picked;
  $('marks').replaceChildren(...run.marks.map((mark) => el('li', {class: mark.severity}, `${mark.severity}: ${mark.text}`)));
  drawTimeline(run);
  drawTelemetry(run);
  facts(run);
  [...document.querySelectorAll('#runs tbody tr')].forEach((row) => row.classList.toggle('picked', Number(row.dataset.run) === picked));
}

function pick(index) {
  picked = index;
  drawRun();
}

function withInterval(values) {
  if (!values) return '-';
  const interval = values.median_interval;
  return ms(values.median) + (interval ? ` ±${ms((interval[1] - interval[0]) / 2)}` : '');
}

const COLUMNS = [
  ['model', (r) => model(r), 'name'], ['load', (r) => r.workload.arrivals, 'name'],
  ['tokens', (r) => ['prompt_tokens', 'output_tokens'].map((n) => figure(r, n) ? number(figure(r, n).median) : '?').join('+')],
  ['finished', (r) => `${r.summary.finished}/${r.summary.requests}`], ['TTFT ms', (r) => withInterval(figure(r, 'ttft'))],
  ['p99', (r) => ms((figure(r, 'ttft') || {}).p99)], ['TPOT ms', (r) => withInterval(figure(r, 'tpot'))],
  ['p99', (r) => ms((figure(r, 'tpot') || {}).p99)], ['E2E ms', (r) => withInterval(figure(r, 'e2e'))],
  ['out tok/s', (r) => number(rate(r, 'output_throughput'))], ['per user', (r) => number(r.tokens_per_user)],
  ['per GPU', (r) => number(r.tokens_per_gpu)], ['J/tok', (r) => number(r.joules_per_token)]
];

function drawTable() {
  const head = el('tr', {}, el('th', {class: 'name'}, 'backend'), ...COLUMNS.map(([title, , kind]) => el('th', {class: kind}, title)), el('th', {class: 'name'}, ''));
  const rows = shown().map((run) => {
    const index = data.runs.indexOf(run);
    const warnings = run.marks.filter((m) => m.severity === 'warning').length;
    const dot = el('span', {class: 'dot'});
    dot.style.background = css(`--s${seriesIndex(run) % 8}`);
    const mark = run.invalid ? el('td', {class: 'name invalid'}, 'invalid')
                             : el('td', {class: 'name warning'}, warnings ? `${warnings} warning${warnings > 1 ? 's' : ''}` : '');
    return el('tr', {'data-run': index, onclick: () => pick(index)},
              el('td', {class: 'name'}, el('button', {type: 'button'}, dot, `${index + 1}. ${run.plan.backend || ''} ${version(run)}`)),
              ...COLUMNS.map(([, value, kind]) => el('td', {class: kind}, value(run) || '')), mark);
  });
  $('runs').replaceChildren(el('thead', {}, head), el('tbody', {}, ...rows));
}

function options(id, list) {
  $(id).replaceChildren(...list.map(([value, text]) => el('option', {value}, text)));
}

function fillControls() {
  const models = [...new Set(data.runs.map(model))];
  $('models').hidden = models.length < 2;
  options('model', [['', 'all'], ...models.map((m) => [m, m || 'not known'])]);
  const has = (name) => data.runs.some((run) => figure(run, name));
  const latencies = ['ttft', 'tpot', 'e2e'].filter(has);
  options('latency', latencies.flatMap((n) => ['median', 'p90', 'p99'].map((s) => [`${n}/${s}`, `${titles[n]} ${s}`])));
  options('quantity', ['ttft', 'itl', 'tpot', 'e2e'].filter((n) => data.runs.some((run) => run.quantiles[n])).map((n) => [n, titles[n]]));
  options('figure', [
    ['rate/output_throughput', 'output tok/s'],
    ...latencies.flatMap((n) => ['median', 'p99'].map((s) => [`figure/${n}/${s}`, `${titles[n]} ${s}, ms`])),
    ...['decode_rate', 'prefill_rate'].filter(has).map((n) => [`figure/${n}/median`, `${titles[n]} median`]),
    ['rate/request_throughput', 'requests/s']
  ]);
  options('run', data.runs.map((run, i) => [i, runName(run)]));
}

function drawAll() {
  drawTable();
  if ($('latency').value) drawThroughput();
  drawPareto();
  drawDepth();
  if ($('quantity').value) drawDistribution();
  drawHistory();
  drawRun();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
}

function start() {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  setTheme(dark.matches ? 'dark' : 'light');
  dark.addEventListener('change', () => { setTheme(dark.matches ? 'dark' : 'light'); drawAll(); });
  $('theme').addEventListener('click', () => { setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'); drawAll(); });
  const machines = [...new Set(data.runs.map((run) => run.hardware).filter(Boolean))];
  $('about').textContent = data.runs.length ? `${data.runs.length} run${data.runs.length > 1 ? 's' : ''} on ${machines.join('; ') || 'hardware not known'}` : 'No runs.';
  $('foot').textContent = ['Made by mica', data.mica_version, data.made].filter(Boolean).join(' ');
  $('definitions').replaceChildren(...data.definitions.flatMap((d) => [el('dt', {}, d.title), el('dd', {}, d.text)]));
  $('method').replaceChildren(...data.method.map((text) => el('li', {}, text)));
  fillControls();
  $('model').addEventListener('change', drawAll);
  $('latency').addEventListener('change', drawThroughput);
  $('quantity').addEventListener('change', drawDistribution);
  $('figure').addEventListener('change', drawHistory);
  $('series').addEventListener('change', () => drawTelemetry(data.runs[picked]));
  $('run').addEventListener('change', () => pick(Number($('run').value)));
  Chart.defaults.font.family = 'system-ui, sans-serif';
  drawAll();
}

start();
