// Prometheus' text format (exposition formats, text-based 0.0.4) and what OpenMetrics adds to it.
// Lines that are none are passed over.

// Map of family name -> {name, type, help, samples: [{name, labels, value}]}
export function parseMetrics(text) {
  const families = new Map();
  const family = (name) => {
    if (!families.has(name)) families.set(name, {name, type: 'untyped', help: '', samples: []});
    return families.get(name);
  };
  for (const line of text.split(/\r?\n/)) {
    const about = /^#\s+(HELP|TYPE)\s+(\S+)\s?(.*)$/.exec(line);
    if (about) {
      const [, what, name, rest] = about;
      if (what === 'HELP')
        family(name).help = rest.replace(/\\([\\n])/g, (_, c) => (c === 'n' ? '\n' : '\\'));
      else
        family(name).type = rest.trim();
      continue;
    }
    const sample = line.startsWith('#') ? null : parseSample(line);
    if (sample) family(familyName(families, sample.name)).samples.push(sample);
  }
  for (const [name, {samples}] of families)
    if (samples.length === 0) families.delete(name);
  return families;
}

function familyName(families, name) {
  const stem = name.replace(/_(bucket|sum|count|total|created)$/, '');
  if (stem !== name && !families.has(name) && families.has(stem)) return stem;
  return name;
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y,
      LABEL = /\s*,?\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/y;

function parseSample(line) {
  NAME.lastIndex = 0;
  const name = NAME.exec(line)?.[0];
  if (!name) return null;
  let at = name.length;
  const labels = {};
  if (line[at] === '{') {
    ++at;
    for (;;) {
      LABEL.lastIndex = at;
      const label = LABEL.exec(line);
      if (!label) break;
      labels[label[1]] = label[2].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
      at = LABEL.lastIndex;
    }
    const end = /\s*,?\s*\}/y;
    end.lastIndex = at;
    if (!end.test(line)) return null;
    at = end.lastIndex;
  }
  const value = numberOf(line.slice(at).trim().split(/\s+/)[0]);
  return value === null ? null : {name, labels, value};
}

function numberOf(text) {
  if (/^\+?Inf$/i.test(text)) return Infinity;
  if (/^-Inf$/i.test(text)) return -Infinity;
  if (/^NaN$/i.test(text)) return NaN;
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : null;
}

// A family by any of its usual names, whatever engine's prefix it has ("vllm:", "mica_").
export function findFamily(families, names) {
  for (const wanted of names)
    for (const [name, family] of families) {
      const short = name.replace(/^[a-z0-9]+:/i, '').replace(/^mica_/, '');
      if (short === wanted || short === `${wanted}_total` || `${short}_total` === wanted)
        return family;
    }
  return null;
}

// Over all sets of labels; null when there is no number.
export function total(family) { return fold(family, (a, b) => a + b); }
export function largest(family) { return fold(family, Math.max); }
function fold(family, join) {
  const values =
      (family?.samples ?? [])
          .filter((s) => !/_(bucket|sum|count|created)$/.test(s.name) && Number.isFinite(s.value))
          .map((s) => s.value);
  return values.length > 0 ? values.reduce(join) : null;
}
