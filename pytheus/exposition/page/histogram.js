"use strict";
// Distributions: quantiles as Prometheus computes them, sums and increases of histograms, and their buckets as bars.

/** The upper bound of the native bucket `index`. @param {number} index @param {number} schema from -4 to 8 */
function nativeBound(index, schema) {
  if (schema <= 0) {
    const exponent = index * 2 ** -schema;
    return exponent === 1024 ? Number.MAX_VALUE : 2 ** exponent;
  }
  const parts = 2 ** schema;
  const place = ((index % parts) + parts) % parts;
  const exponent = (index - place) / parts;
  if (exponent === 1024 && place === 0) return Number.MAX_VALUE;
  // In two steps, because 2**1023.99 is finite and 2**1024 is not.
  const half = Math.floor(exponent / 2);
  return 2 ** (place / parts) * 2 ** half * 2 ** (exponent - half);
}

/**
 * All buckets with observations, the lowest first.
 * @param {Native} native @returns {{from: number, to: number, count: number}[]}
 */
function nativeBuckets(native) {
  const buckets = [];
  // A bucket within which the zero bucket ends begins there, as Prometheus has it.
  const inner = (/** @type {number} */ index) => {
    const bound = nativeBound(index - 1, native.schema);
    return nativeBound(index, native.schema) > native.threshold ? Math.max(bound, native.threshold) : bound;
  };
  for (let place = native.negative.length - 1; place >= 0; place--) {
    const [index, count] = native.negative[place];
    buckets.push({ from: -nativeBound(index, native.schema), to: -inner(index), count });
  }
  if (native.zero) buckets.push({ from: -native.threshold, to: native.threshold, count: native.zero });
  for (const [index, count] of native.positive) {
    buckets.push({ from: inner(index), to: nativeBound(index, native.schema), count });
  }
  return buckets;
}

/**
 * The quantile by linear interpolation within a bucket, as histogram_quantile() of Prometheus has it.
 * @param {number} q @param {ArrayLike<number>} bounds ascending, the last one +Inf @param {ArrayLike<number>} counts cumulative
 */
function classicQuantile(q, bounds, counts) {
  if (Number.isNaN(q)) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const last = bounds.length - 1;
  if (last < 1 || bounds[last] !== Infinity) return NaN;
  const total = counts[last];
  if (!(total > 0)) return NaN;
  let rank = q * total;
  let place = 0;
  while (place < last && !(counts[place] >= rank)) place++;
  if (place === last) return bounds[last - 1];
  if (place === 0 && bounds[0] <= 0) return bounds[0];
  const from = place ? bounds[place - 1] : 0;
  const before = place ? counts[place - 1] : 0;
  rank -= before;
  // The sum is rounded.
  return Math.min(bounds[place], from + (bounds[place] - from) * (rank / (counts[place] - before)));
}

/**
 * The quantile by exponential interpolation, and linear in the zero bucket, as histogram_quantile() of Prometheus has it.
 * @param {number} q @param {Native} native
 */
function nativeQuantile(q, native) {
  if (Number.isNaN(q) || !(native.count > 0)) return q < 0 ? -Infinity : q > 1 ? Infinity : NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const buckets = nativeBuckets(native);
  // Observations of NaN are counted, but in no bucket: as if they were above all others.
  const forward = Number.isNaN(native.sum) || q < 0.5;
  if (!forward) buckets.reverse();
  let rank = (forward ? q : 1 - q) * native.count;
  let count = 0, bucket = null;
  for (bucket of buckets) {
    count += bucket.count;
    if (count >= rank) break;
  }
  if (!bucket) return NaN;
  let { from, to } = bucket;
  if (from < 0 && to > 0) {
    if (!native.negative.length && native.positive.length) from = 0;
    else if (!native.positive.length && native.negative.length) to = 0;
  }
  count = Math.min(count, native.count);
  if (count < rank) return forward && Number.isNaN(native.sum) ? NaN : to;
  rank = forward ? rank - (count - bucket.count) : count - rank;
  const fraction = rank / bucket.count;
  if (from <= 0 && to >= 0) return from + (to - from) * fraction;
  const low = Math.log2(Math.abs(from)), high = Math.log2(Math.abs(to));
  return from > 0 ? 2 ** (low + (high - low) * fraction) : -(2 ** (high + (low - high) * (1 - fraction)));
}

/** @param {[number, number][]} buckets @param {number} halvings */
function widened(buckets, halvings) {
  if (!halvings) return buckets;
  const sums = new Map();
  const step = 2 ** halvings;
  for (const [index, count] of buckets) {
    const target = Math.ceil(index / step);
    sums.set(target, (sums.get(target) ?? 0) + count);
  }
  return /** @type {[number, number][]} */ ([...sums]);
}

/** Move what a wider zero bucket includes to it. @param {Native} native @param {number} threshold @returns {Native} */
function withThreshold(native, threshold) {
  if (threshold <= native.threshold) return native;
  let zero = native.zero;
  for (const buckets of [native.positive, native.negative]) {
    for (const [index, count] of buckets) {
      // A bucket within which the threshold lies raises it.
      if (count && nativeBound(index - 1, native.schema) < threshold) threshold = Math.max(threshold, nativeBound(index, native.schema));
    }
  }
  const outside = (/** @type {[number, number][]} */ buckets) => buckets.filter(([index, count]) => {
    const inside = nativeBound(index, native.schema) <= threshold;
    if (inside) zero += count;
    return !inside;
  });
  const positive = outside(native.positive), negative = outside(native.negative);
  return { ...native, threshold, zero, positive, negative };
}

/** The sum, or the difference where `sign` is -1. @param {Native | null} a @param {Native} b @param {number} sign @returns {Native} */
function addNative(a, b, sign = 1) {
  if (!a) return b;
  while (a.threshold !== b.threshold) {
    const threshold = Math.max(a.threshold, b.threshold);
    a = withThreshold(a, threshold);
    b = withThreshold(b, threshold);
  }
  const schema = Math.min(a.schema, b.schema);
  const add = (/** @type {[number, number][]} */ ours, /** @type {[number, number][]} */ theirs) => {
    const sums = new Map(widened(ours, a.schema - schema));
    for (const [index, count] of widened(theirs, b.schema - schema)) sums.set(index, (sums.get(index) ?? 0) + sign * count);
    return /** @type {[number, number][]} */ ([...sums].filter(([, count]) => count > 0).sort((x, y) => x[0] - y[0]));
  };
  return {
    schema, threshold: a.threshold, zero: Math.max(0, a.zero + sign * b.zero), count: Math.max(0, a.count + sign * b.count),
    sum: a.sum + sign * b.sum, positive: add(a.positive, b.positive), negative: add(a.negative, b.negative),
  };
}

/**
 * @typedef {{count: number, sum: number, bounds: number[] | null, counts: Float64Array | number[] | null, native: Native | null}} Distribution
 */

/** Observations of one or several series. Those of other classic buckets are counted, but in `others`. */
class DistributionSum {
  constructor() {
    this.count = 0;
    this.sum = 0;
    this.bounds = /** @type {number[] | null} */ (null);
    this.counts = /** @type {Float64Array | null} */ (null);
    this.native = /** @type {Native | null} */ (null);
    this.others = 0;
  }

  /** @param {Distribution} part */
  add(part) {
    this.count += part.count;
    this.sum += part.sum;
    if (part.native) this.native = addNative(this.native, part.native);
    if (!part.bounds || !part.counts) return;
    if (!this.bounds) {
      this.bounds = part.bounds;
      this.counts = Float64Array.from(part.counts);
    } else if (sameNumbers(this.bounds, part.bounds)) {
      const counts = /** @type {Float64Array} */ (this.counts);
      for (let place = 0; place < counts.length; place++) counts[place] += part.counts[place];
    } else this.others++;
  }
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function sameNumbers(a, b) {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let place = 0; place < a.length; place++) if (a[place] !== b[place]) return false;
  return true;
}

/**
 * What came between two readings of a series; all of `now` after a reset.
 * @param {Distribution} before @param {Distribution} now @returns {Distribution}
 */
function increaseOf(before, now) {
  const isReset = now.count < before.count || (now.bounds && before.bounds && !sameNumbers(now.bounds, before.bounds));
  if (isReset) return now;
  let counts = null;
  if (now.counts && before.counts) {
    counts = Float64Array.from(now.counts);
    for (let place = 0; place < counts.length; place++) counts[place] = Math.max(0, counts[place] - before.counts[place]);
  }
  return {
    count: now.count - before.count, sum: now.sum - before.sum, bounds: counts && now.bounds, counts,
    native: now.native && before.native ? addNative(now.native, before.native, -1) : now.native,
  };
}

/** @param {number} q @param {Distribution} distribution @param {boolean} [classic] prefer the classic buckets */
function quantileOf(q, distribution, classic = false) {
  if (distribution.native && !(classic && distribution.bounds)) return nativeQuantile(q, distribution.native);
  if (!distribution.bounds || !distribution.counts) return NaN;
  return classicQuantile(q, distribution.bounds, monotone(distribution.counts));
}

/** Counts that never fall, as Prometheus makes them. @param {ArrayLike<number>} counts */
function monotone(counts) {
  let highest = 0;
  return Array.from(counts, (count) => (highest = Math.max(highest, count)));
}

/**
 * The buckets as bars, the lowest first, at most `most` of them.
 * @param {Distribution} distribution @param {boolean} classic @param {number} most
 * @returns {{from: number, to: number, count: number}[]}
 */
function barsOf(distribution, classic = false, most = 80) {
  if (distribution.native && !(classic && distribution.bounds)) {
    let native = distribution.native;
    const extent = (/** @type {[number, number][]} */ buckets) => buckets.length && buckets[buckets.length - 1][0] - buckets[0][0] + 1;
    while (native.schema > -4 && extent(native.positive) + extent(native.negative) > most) {
      const sorted = (/** @type {[number, number][]} */ buckets) => widened(buckets, 1).sort((a, b) => a[0] - b[0]);
      native = { ...native, schema: native.schema - 1, positive: sorted(native.positive), negative: sorted(native.negative) };
    }
    const filled = (/** @type {[number, number][]} */ buckets) => {
      const all = /** @type {[number, number][]} */ ([]);
      for (const [index, count] of buckets) {
        while (all.length && all[all.length - 1][0] < index - 1) all.push([all[all.length - 1][0] + 1, 0]);
        all.push([index, count]);
      }
      return all;
    };
    return nativeBuckets({ ...native, positive: filled(native.positive), negative: filled(native.negative) });
  }
  const { bounds, counts } = distribution;
  if (!bounds || !counts) return [];
  const rising = monotone(counts);
  let bars = rising.map((count, place) => ({
    from: place ? bounds[place - 1] : bounds[0] > 0 ? 0 : -Infinity, to: bounds[place], count: count - (place ? rising[place - 1] : 0),
  }));
  while (bars.length > most) {
    bars = bars.filter((_, place) => place % 2 === 0).map((bar, place) => {
      const next = bars[place * 2 + 1];
      return next ? { from: bar.from, to: next.to, count: bar.count + next.count } : bar;
    });
  }
  return bars;
}
