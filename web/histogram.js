// Quantiles of what happened between two scrapes of a histogram.

// Cumulative counts by upper bound, summed over all sets of labels, ascending; null without
// buckets.
export function bucketsOf(family) {
  const counts = new Map();
  for (const {name, labels, value} of family?.samples ?? []) {
    if (!name.endsWith('_bucket') || labels.le === undefined || !Number.isFinite(value)) continue;
    const bound = /^\+?Inf$/i.test(labels.le) ? Infinity : Number(labels.le);
    if (!Number.isNaN(bound)) counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  if (counts.size === 0) return null;
  return [...counts].map(([bound, count]) => ({bound, count})).sort((a, b) => a.bound - b.bound);
}

// What came since `before`. A server that began anew counts from nothing.
export function since(now, before) {
  const old = new Map((before ?? []).map(({bound, count}) => [bound, count]));
  const restarted = now.some(({bound, count}) => count < (old.get(bound) ?? 0));
  return restarted ? now :
                     now.map(({bound, count}) => ({bound, count: count - (old.get(bound) ?? 0)}));
}

// The q-quantile, even within a bucket as Prometheus does; null when nothing was observed. Beyond
// the last finite bound only that bound is known.
export function quantile(buckets, q) {
  const all = buckets[buckets.length - 1]?.count ?? 0;
  if (!(all > 0)) return null;
  const rank = q * all;
  let lower = 0, below = 0;
  for (const {bound, count} of buckets) {
    if (count >= rank && count > below) {
      if (bound === Infinity) return lower;
      return lower + (bound - lower) * Math.max(0, rank - below) / (count - below);
    }
    if (bound !== Infinity) lower = Math.max(lower, bound);
    below = count;
  }
  return lower;
}
