// Line charts over the last minutes, drawn as SVG in the chart's own pixels.
import {el, svg} from './dom.js';

const PAD = {
  left: 4,
  right: 44,
  top: 8,
  bottom: 20
};

// A round number at or above `value`, for the top of an axis.
export function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10])
    if (value <= step * power * (1 + 1e-9)) return step * power;
  return 10 * power;
}

// "M…L…" of the points that are there; one without neighbours is a dot.
export function linePath(points, gap) {
  let path = '', last = null;
  for (const [x, y] of points) {
    if (y === null) {
      last = null;
      continue;
    }
    const joined = last !== null && x - last <= gap;
    path += joined ? `L${x.toFixed(1)} ${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}h0.01`;
    last = x;
  }
  return path;
}

export class Chart {
  // series: [{label}], the first drawn strong; format(value) -> text; `top`: of the axis, if fixed.
  constructor({title, about, series, format, top = null}) {
    Object.assign(this, {title, series, format, top});
    this.values = series.map(() => el('dd', {}, '–'));
    this.plot = svg('svg', {class: 'plot', role: 'img'});
    this.when = el('span', {class: 'when'});
    this.element =
        el('section', {class: 'card'},
           el('div', {class: 'card-head'}, el('h2', {title: about}, title), this.when),
           el('dl', {},
              series.map(
                  ({label}, i) =>
                      el('div', {class: `series-${i}`}, el('dt', {}, label), this.values[i]))),
           this.plot);
    this.plot.addEventListener('pointermove', (event) => this.point(event.offsetX));
    this.plot.addEventListener('pointerleave', () => this.point(null));
  }

  point(x) {
    this.at = x;
    if (this.samples) this.draw(this.samples, this.now, this.span);
  }

  // samples: [{time, values: [number | null]}] in ms, ascending; the last `span` ms are shown.
  draw(samples, now, span) {
    Object.assign(this, {samples, now, span});
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (width < 40 || height < 40) return;
    this.inner =
        {left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom};
    const shown = samples.filter(({time}) => time >= now - span);
    const all = shown.flatMap(({values}) => values).filter((value) => value !== null);
    this.max = this.top ?? niceTop(Math.max(0, ...all));
    this.plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.plot.replaceChildren(...this.axes(), ...this.lines(shown), ...this.mark(shown));
    this.tell(shown);
  }

  x(time) {
    const {left, right} = this.inner;
    return right - (this.now - time) / this.span * (right - left);
  }
  y(value) {
    const {top, bottom} = this.inner;
    return bottom - Math.min(1, Math.max(0, value / this.max)) * (bottom - top);
  }

  axes() {
    const {left, right, bottom} = this.inner;
    const out = [];
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(this.y(this.max * share)) + 0.5;
      out.push(svg('line', {class: 'grid', x1: left, x2: right, y1: y, y2: y}));
      out.push(svg('text', {x: right + 6, y: y + 4}, this.format(this.max * share)));
    }
    const minutes = this.span / 60000;
    out.push(svg('text', {x: left, y: bottom + 15}, `−${minutes} min`));
    out.push(svg('text', {x: right, y: bottom + 15, 'text-anchor': 'end'}, 'now'));
    return out;
  }

  lines(shown) {
    const gap = 4000 / this.span * (this.inner.right - this.inner.left);
    const paths = this.series.map((_, i) => {
      const points = shown.map(
          ({time, values}) => [this.x(time), values[i] === null ? null : this.y(values[i])]);
      return svg('path', {class: `line series-${i}`, d: linePath(points, Math.max(gap, 6))});
    });
    return paths.reverse();  // the first on top
  }

  // The moment under the pointer, or the last one.
  chosen(shown) {
    if (this.at === null || this.at === undefined || shown.length === 0) return null;
    return shown.reduce(
        (best, sample) =>
            Math.abs(this.x(sample.time) - this.at) < Math.abs(this.x(best.time) - this.at) ?
            sample :
            best);
  }

  mark(shown) {
    const sample = this.chosen(shown);
    if (!sample) return [];
    const x = this.x(sample.time);
    const dots = sample.values.map(
        (value, i) => value === null ?
            null :
            svg('circle', {class: `dot series-${i}`, cx: x, cy: this.y(value), r: 3}));
    return [
      svg('line', {class: 'cursor', x1: x, x2: x, y1: this.inner.top, y2: this.inner.bottom}),
      ...dots.filter(Boolean)
    ];
  }

  tell(shown) {
    const sample = this.chosen(shown);
    const values = (sample ?? shown[shown.length - 1])?.values ?? [];
    this.series.forEach((_, i) => {
      this.values[i].textContent =
          values[i] === null || values[i] === undefined ? '–' : this.format(values[i]);
    });
    this.when.textContent = sample ? `${Math.round((this.now - sample.time) / 1000)} s ago` : '';
    const spoken =
        this.series.map(({label}, i) => `${label} ${this.values[i].textContent}`).join(', ');
    this.plot.setAttribute('aria-label', `${this.title}: ${spoken}`);
  }
}
