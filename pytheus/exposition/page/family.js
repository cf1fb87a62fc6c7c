"use strict";
// The families and series that the page knows, with their history. Everything is bounded: points, series, vanished ones.

const POINTS = 300; // of a history in the details
const POINTS_OF_LIST = 90; // of a family's elsewhere
const POINTS_OF_MANY = 30; // of a series', where there are many
const MANY_SERIES = 2000;
const FEW_SERIES = 100; // whose numbers are kept while they are not on screen
const SERIES_AT_MOST = 20000; // that are read of one family
const WINDOW_SECONDS = 60; // of quantiles and changes
const RATE_SECONDS = 10;
const SHORTEST_SECONDS = 0.5;
const GONE_READINGS = 30; // after which a series that came no more is forgotten

/** Numbers and when they were read; the oldest are overwritten. */
class Timeline {
  /** @param {number} capacity */
  constructor(capacity) {
    this.times = new Float64Array(capacity);
    this.values = new Float64Array(capacity);
    this.next = 0;
    this.length = 0;
  }

  /** @param {number} time in seconds @param {number} value */
  push(time, value) {
    this.times[this.next] = time;
    this.values[this.next] = value;
    this.next = (this.next + 1) % this.times.length;
    if (this.length < this.times.length) this.length++;
  }

  /** The same points with place for more, or the last ones of them. @param {number} capacity */
  resized(capacity) {
    const resized = new Timeline(capacity);
    for (let place = Math.max(0, this.length - capacity); place < this.length; place++) resized.push(this.times[this.at(place)], this.values[this.at(place)]);
    return resized;
  }

  /** The place of a point, 0 being the oldest. @param {number} place */
  at(place) {
    return (this.next - this.length + place + this.times.length) % this.times.length;
  }

  /** The oldest point that is not older than `seconds` before the last one; null if that is the last one. @param {number} seconds */
  since(seconds) {
    if (this.length < 2) return null;
    const last = this.at(this.length - 1);
    let oldest = last;
    for (let place = this.length - 2; place >= 0; place--) {
      const index = this.at(place);
      if (this.times[last] - this.times[index] > seconds * 1.05) break;
      oldest = index;
    }
    return oldest === last ? null : { value: this.values[oldest], last: this.values[last], seconds: this.times[last] - this.times[oldest] };
  }

  /** The increase a second, over the last `seconds`, or since the reading before if that is longer ago. */
  rate(seconds = RATE_SECONDS) {
    let span = this.since(seconds);
    if (!span && this.length > 1) {
      const before = this.at(this.length - 2), last = this.at(this.length - 1);
      span = { value: this.values[before], last: this.values[last], seconds: this.times[last] - this.times[before] };
    }
    return span && span.seconds > 0 ? (span.last - span.value) / span.seconds : NaN;
  }

  /** The points as pairs of time and value. */
  points() {
    const points = /** @type {[number, number][]} */ ([]);
    for (let place = 0; place < this.length; place++) points.push([this.times[this.at(place)], this.values[this.at(place)]]);
    return points;
  }

  /** The increase a second between each point and the one before. */
  rates() {
    const points = /** @type {[number, number][]} */ ([]);
    let before = this.at(0);
    for (let place = 1; place < this.length; place++) {
      const index = this.at(place), seconds = this.times[index] - this.times[before];
      if (seconds < SHORTEST_SECONDS) continue; // two readings at nearly the same time say little
      points.push([this.times[index], (this.values[index] - this.values[before]) / seconds]);
      before = index;
    }
    return points;
  }
}

const CUMULATIVE = new Set(["counter", "histogram", "summary"]);

class Series {
  /** @param {[string, string][]} labels @param {Uint8Array} labelBytes */
  constructor(labels, labelBytes) {
    this.labels = labels;
    this.labelBytes = labelBytes;
    this.key = seriesKey(labels);
    this.value = NaN; // the number; of distributions, the count
    this.total = 0; // of what only grows: the increases since the first reading, resets left out
    this.rate = NaN;
    this.reading = -1; // the last one that had it
    this.metric = /** @type {Metric | null} */ (null);
    this.history = /** @type {Timeline | null} */ (null);
    this.recent = /** @type {{time: number, increase: Distribution}[] | null} */ (null);
    this.haystack = "";
  }

  /** @param {string} name */
  label(name) {
    for (const [own, value] of this.labels) if (own === name) return value;
    return "";
  }

  /** All labels in lower case, for the filter. */
  get text() {
    if (!this.haystack) this.haystack = this.labels.map(([name, value]) => `${name}=${value}`).join("\n").toLowerCase() || "\n";
    return this.haystack;
  }
}

/** @param {[string, string][]} labels */
function seriesKey(labels) {
  return JSON.stringify(labels);
}

/** @param {Uint8Array} bytes @param {number} from @param {number} to @param {Uint8Array} other */
function isSame(bytes, from, to, other) {
  if (to - from !== other.length) return false;
  for (let place = 0; place < other.length; place++) if (bytes[from + place] !== other[place]) return false;
  return true;
}

/**
 * @typedef {{name: string, type: string, unit?: string, help?: string, series?: number | null, labels?: string[],
 *   values?: (number | null)[] | null, native?: boolean}} Listed as in the overview
 */

class Family {
  /** @param {Listed} listed */
  constructor(listed) {
    this.name = listed.name;
    this.series = /** @type {Series[]} */ ([]); // those of the last reading, in its order
    this.known = /** @type {Map<string, Series>} */ (new Map());
    this.reading = 0;
    this.readAt = -Infinity; // seconds, of performance.now()
    this.dueAt = 0; // milliseconds, of performance.now()
    this.isAbsent = false; // whether the last response had nothing of it
    this.isCut = false; // whether only its first series were read
    this.keepsSeries = false; // whether the series have histories
    this.query = /** @type {string | null} */ (null); // by which it is selected; half a surrogate pair cannot be sent
    try { this.query = "name%5B%5D=" + encodeURIComponent(this.name); } catch { /* isSelectable() says so */ }
    this.groups = [groupOf(this.name, 1), groupOf(this.name, 2)];
    this.forget();
    this.update(listed);
  }

  /** Without numbers, as after a change of the type. */
  forget() {
    this.series = [];
    this.known.clear();
    this.reading = 0;
    this.readAt = -Infinity;
    this.history = new Timeline(0); // of the number that the list shows; it grows when the family is first read
    this.grown = 0;
    this.total = NaN;
    this.least = this.most = NaN;
    this.sum = /** @type {DistributionSum | null} */ (null); // of all observations
    this.recent = /** @type {{time: number, increase: DistributionSum}[]} */ ([]);
    this.rate = NaN; // the increase a second of all series, NaN if unknown
    this.change = 0;
    this.resets = 0;
  }

  /** @param {Listed} listed @returns {boolean} whether anything is new */
  update(listed) {
    const signature = JSON.stringify(listed);
    if (signature === this.signature) return false;
    this.signature = signature;
    const type = typeof listed.type === "string" ? listed.type : "unknown";
    if (this.type !== undefined && this.type !== type) this.forget();
    this.type = type;
    this.help = String(listed.help ?? "");
    this.declaredUnit = String(listed.unit ?? "");
    this.unit = unitOf(this.name, type, this.declaredUnit);
    this.count = typeof listed.series === "number" ? listed.series : null;
    this.labels = Array.isArray(listed.labels) ? listed.labels.map(String) : [];
    this.values = Array.isArray(listed.values) ? listed.values : [];
    this.isNative = listed.native === true;
    this.isCumulative = CUMULATIVE.has(type);
    this.isDistribution = type === "histogram" || type === "gaugehistogram" || type === "summary";
    this.haystack = [this.name, this.help, type, this.declaredUnit, ...this.labels].join("\n").toLowerCase();
    return true;
  }

  /** The number of series, as far as it is known. */
  get size() {
    return Math.max(this.count ?? 0, this.series.length);
  }

  // A reading -------------------------------------------------------------------------------------------------------

  /** @param {number} time in seconds */
  begin(time) {
    this.reading++;
    this.time = time;
    this.place = 0;
    this.next = /** @type {Series[]} */ ([]);
    this.increase = 0;
    this.isReset = false;
    this.sumNow = this.isDistribution ? new DistributionSum() : null;
    this.increaseNow = this.isDistribution ? new DistributionSum() : null;
  }

  /** @param {Metric} metric @param {Uint8Array} bytes @returns {boolean} whether more series are taken */
  take(metric, bytes) {
    const { labelsFrom: from, labelsTo: to } = metric;
    let series = this.series[this.place++];
    // Series come in the same order each time, nearly always; then no text is decoded.
    if (!series || !isSame(bytes, from, to, series.labelBytes)) {
      const labelBytes = bytes.slice(from, to);
      const labels = decodeLabels(labelBytes);
      series = this.known.get(seriesKey(labels)) ?? new Series(labels, labelBytes);
      series.labelBytes = labelBytes;
    }
    const isNew = series.reading < 0;
    if (isNew) this.known.set(series.key, series);
    if (series.reading === this.reading) return true; // twice in one reading
    this.next.push(series);
    this.measure(series, metric, isNew);
    return this.next.length < SERIES_AT_MOST;
  }

  /** @param {Series} series @param {Metric} metric @param {boolean} isNew */
  measure(series, metric, isNew) {
    const value = metric.kind === "histogram" || metric.kind === "summary" ? metric.count : metric.value;
    // A series that came later began at 0, unless the family was not read to its end.
    const isFirst = isNew && (this.reading === 1 || this.isCut);
    if (this.isCumulative) {
      const before = isNew ? 0 : series.value;
      const isReset = !isNew && value < before;
      const increase = isFirst ? 0 : isReset ? value : value - before;
      if (isReset) this.isReset = true;
      if (Number.isFinite(increase)) {
        series.total += increase;
        this.increase += increase;
      }
    } else series.total = value;
    if (this.sumNow && metric.kind !== "untyped") {
      this.sumNow.add(metric);
      const before = series.metric;
      if (!isFirst && this.type !== "gaugehistogram") {
        const increase = before ? increaseOf(before, metric) : metric;
        /** @type {DistributionSum} */ (this.increaseNow).add(increase);
        if (series.recent) remember(series.recent, this.time, increase);
      }
    }
    series.metric = metric;
    series.value = value;
    series.reading = this.reading;
    if (this.keepsSeries) {
      if (!series.history) series.history = new Timeline(this.size > MANY_SERIES ? POINTS_OF_MANY : POINTS);
      series.history.push(this.time, series.total);
      series.rate = this.isCumulative ? series.history.rate() : NaN;
    }
  }

  /** @param {boolean} isWhole whether all of it was read */
  end(isWhole) {
    this.isCut = !isWhole;
    this.isAbsent = false;
    this.series = this.next;
    this.readAt = this.time;
    if (this.isReset) this.resets++;
    if (this.known.size > this.series.length) {
      for (const [key, series] of this.known) if (series.reading < this.reading - GONE_READINGS) this.known.delete(key);
    }
    let sum = 0, least = Infinity, most = -Infinity, any = false;
    for (const { value } of this.series) {
      sum += value;
      if (value < least) least = value;
      if (value > most) most = value;
      any ||= !Number.isNaN(value);
    }
    this.total = this.series.length ? sum : NaN;
    this.least = any ? least : NaN;
    this.most = any ? most : NaN;
    if (this.sumNow) this.sum = this.sumNow;
    const capacity = this.keepsSeries ? POINTS : POINTS_OF_LIST;
    if (this.history.times.length < capacity) this.history = this.history.resized(capacity);
    if (this.isCumulative) {
      this.grown += this.increase;
      this.history.push(this.time, this.grown);
      if (this.increaseNow && this.reading > 1) remember(this.recent, this.time, this.increaseNow);
    } else this.history.push(this.time, this.series.length > 1 ? this.most : this.total);
    this.rate = this.isCumulative ? this.history.rate() : NaN;
    this.change = this.changeNow();
  }

  /** Keep the histories of series, or free them. @param {boolean} keep */
  keepSeries(keep) {
    if (keep === this.keepsSeries) return;
    this.keepsSeries = keep;
    if (!keep && this.history.length) this.history = this.history.resized(POINTS_OF_LIST);
    for (const series of this.known.values()) series.history = series.recent = null;
  }

  /** Free the memory of what was not on screen for long. @param {number} now in seconds */
  rest(now) {
    if (this.keepsSeries || now - this.readAt < 2 * WINDOW_SECONDS) return;
    this.recent = [];
    if (this.series.length > FEW_SERIES) this.forget();
  }

  // What is shown ---------------------------------------------------------------------------------------------------

  /** The relative change within the last minute; of what only grows, that of its rate. */
  changeNow() {
    if (this.isCumulative) {
      const lately = this.rate, before = this.history.rate(WINDOW_SECONDS);
      return before > 0 ? lately / before - 1 : lately > 0 ? Infinity : 0;
    }
    const span = this.history.since(WINDOW_SECONDS);
    if (!span || Number.isNaN(span.last - span.value)) return 0;
    return span.value === span.last ? 0 : span.value === 0 ? Infinity : (span.last - span.value) / Math.abs(span.value);
  }

  /** The points of the sparkline: rates, or values. */
  points() {
    return this.isCumulative ? this.history.rates() : this.history.points();
  }

  /** The observations of the last minute, or null if there was none. */
  lately() {
    return summed(this.recent);
  }
}

/** @template {Distribution} T @param {{time: number, increase: T}[]} recent @param {number} time @param {T} increase */
function remember(recent, time, increase) {
  recent.push({ time, increase });
  while (recent.length > 120 || recent[0].time < time - WINDOW_SECONDS) recent.shift();
}

/** @param {{time: number, increase: Distribution}[]} recent */
function summed(recent) {
  const sum = new DistributionSum();
  for (const { increase } of recent) if (increase.count) sum.add(increase);
  return sum.count ? sum : null;
}

/** The first part of a name, by which families are grouped. @param {string} name @param {number} parts */
function groupOf(name, parts) {
  let end = 0;
  for (let part = 0; part < parts; part++) {
    const found = name.slice(end + 1).search(/[_.:/]/);
    if (found < 0) return part ? name.slice(0, end) : name;
    end += found + 1;
  }
  return name.slice(0, end);
}
