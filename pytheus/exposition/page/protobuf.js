"use strict";
// Reads Prometheus's protobuf format, delimited messages io.prometheus.client.MetricFamily, while it arrives: a family of
// a million series is one message of a hundred megabytes, so that its metrics are decoded one by one, and work is given
// up to input every few milliseconds.
// https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto

class DecodeError extends Error {}

const SLICE_MS = 8; // a frame is 16 ms
const TEXT = new TextDecoder("utf-8", { ignoreBOM: true }); // a label may begin with one

/** Let the browser handle input and paint. */
const pause = "scheduler" in globalThis && globalThis.scheduler.yield
  ? () => globalThis.scheduler.yield()
  : () => new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => resolve(undefined); port2.postMessage(0); });

/** A place in bytes. Throws `DecodeError` at their end. */
class Cursor {
  /** @param {Uint8Array} bytes @param {number} at @param {number} end */
  constructor(bytes, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  /** A whole number; above 2**53, the nearest double. */
  varint() {
    let value = 0, scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.at >= this.end) throw new DecodeError("a message ends within a number");
      const byte = this.bytes[this.at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new DecodeError("a number has more than ten bytes");
  }

  /** An int64, of either sign. */
  int64() {
    let low = 0, high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw new DecodeError("a message ends within a number");
      const byte = this.bytes[this.at++];
      if (shift < 28) low += (byte & 127) * 2 ** shift;
      else high += (byte & 127) * 2 ** (shift - 28);
      if (byte < 128) break;
    }
    return high >= 2 ** 35 ? (high - 2 ** 36) * 2 ** 28 + low : high * 2 ** 28 + low;
  }

  /** A sint32 or sint64. */
  signed() {
    const value = this.varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }

  double() {
    if (this.at + 8 > this.end) throw new DecodeError("a message ends within a number");
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  /** The end of a field of bytes that begins here. */
  stop() {
    const length = this.varint();
    if (length > this.end - this.at) throw new DecodeError("a field is longer than its message");
    return this.at + length;
  }

  text() {
    const stop = this.stop();
    const text = TEXT.decode(this.bytes.subarray(this.at, stop));
    this.at = stop;
    return text;
  }

  /** Read each field of the message that begins here. @param {(key: number) => void} read */
  message(read) {
    const stop = this.stop(), end = this.end;
    this.end = stop;
    while (this.at < stop) read(this.varint());
    this.end = end;
  }

  /** @param {number} key */
  skip(key) {
    const wire = key % 8;
    if (wire === 0) this.varint();
    else if (wire === 2) this.at = this.stop();
    else if (wire === 1 || wire === 5) this.at += wire === 1 ? 8 : 4;
    else throw new DecodeError(`a field has the unknown wire type ${wire}`);
    if (this.at > this.end) throw new DecodeError("a field is longer than its message");
  }

  /** Numbers that are packed in one field, or one of several fields. @param {number} key @param {number[] & {isDouble?: boolean}} into */
  numbers(key, into) {
    const isDouble = into.isDouble;
    if (key % 8 !== 2) {
      into.push(isDouble ? this.double() : this.signed());
      return;
    }
    const stop = this.stop(), end = this.end;
    this.end = stop;
    while (this.at < stop) into.push(isDouble ? this.double() : this.signed());
    this.end = end;
  }
}

/**
 * @typedef {{labels: [string, string][], value: number, at: number | null}} Exemplar `at` in seconds since the epoch
 * @typedef {{schema: number, threshold: number, zero: number, count: number, sum: number,
 *   positive: [number, number][], negative: [number, number][]}} Native buckets by index, ascending
 * @typedef {{kind: string, value: number, count: number, sum: number, bounds: number[] | null, counts: number[] | null,
 *   native: Native | null, quantiles: [number, number][] | null, exemplars: Exemplar[] | null, created: number | null,
 *   at: number | null, labelsFrom: number, labelsTo: number}} Metric `counts` are cumulative, the last bound is +Inf
 * @typedef {{name: string, help: string, unit: string, type: number}} Head
 */

/** @param {Cursor} cursor */
function readTimestamp(cursor) {
  let seconds = 0, nanos = 0;
  cursor.message((key) => {
    if (key === 8) seconds = cursor.int64();
    else if (key === 16) nanos = cursor.int64();
    else cursor.skip(key);
  });
  return seconds + nanos / 1e9;
}

/** @param {Cursor} cursor @returns {[string, string]} */
function readLabel(cursor) {
  let name = "", value = "";
  cursor.message((key) => {
    if (key === 10) name = cursor.text();
    else if (key === 18) value = cursor.text();
    else cursor.skip(key);
  });
  return [name, value];
}

/** @param {Cursor} cursor @returns {Exemplar} */
function readExemplar(cursor) {
  const exemplar = { labels: /** @type {[string, string][]} */ ([]), value: 0, at: /** @type {number | null} */ (null) };
  cursor.message((key) => {
    if (key === 10) exemplar.labels.push(readLabel(cursor));
    else if (key === 17) exemplar.value = cursor.double();
    else if (key === 26) exemplar.at = readTimestamp(cursor);
    else cursor.skip(key);
  });
  return exemplar;
}

/** The labels of a metric whose fields for them are these bytes. @param {Uint8Array} bytes */
function decodeLabels(bytes) {
  const cursor = new Cursor(bytes);
  const labels = /** @type {[string, string][]} */ ([]);
  while (cursor.at < cursor.end) {
    if (cursor.varint() !== 10) throw new DecodeError("expected a label");
    labels.push(readLabel(cursor));
  }
  return labels;
}

/** @param {Cursor} cursor @param {Metric} metric */
function readNumber(cursor, metric) {
  cursor.message((key) => {
    if (key === 9) metric.value = cursor.double();
    else if (key === 18 && metric.kind === "counter") metric.exemplars = [readExemplar(cursor)];
    else if (key === 26 && metric.kind === "counter") metric.created = readTimestamp(cursor);
    else cursor.skip(key);
  });
}

/** @param {Cursor} cursor @param {Metric} metric */
function readSummary(cursor, metric) {
  metric.quantiles = [];
  cursor.message((key) => {
    if (key === 8) metric.count = cursor.varint();
    else if (key === 17) metric.sum = cursor.double();
    else if (key === 26) {
      let quantile = 0, value = 0;
      cursor.message((inner) => {
        if (inner === 9) quantile = cursor.double();
        else if (inner === 17) value = cursor.double();
        else cursor.skip(inner);
      });
      metric.quantiles?.push([quantile, value]);
    } else if (key === 34) metric.created = readTimestamp(cursor);
    else cursor.skip(key);
  });
}

/** Buckets by index, of spans and the differences or counts of their buckets. */
function spannedBuckets(/** @type {number[]} */ spans, /** @type {number[]} */ deltas, /** @type {number[]} */ counts) {
  const buckets = /** @type {[number, number][]} */ ([]);
  let index = 0, place = 0, count = 0;
  for (let span = 0; span < spans.length; span += 2) {
    index += spans[span];
    for (let left = spans[span + 1]; left > 0; left--, index++, place++) {
      if (place >= deltas.length && place >= counts.length) return buckets;
      count = place < counts.length ? counts[place] : count + deltas[place];
      if (count) buckets.push([index, count]);
    }
  }
  return buckets;
}

/** @param {Cursor} cursor @param {Metric} metric */
function readHistogram(cursor, metric) {
  const bounds = /** @type {number[]} */ ([]), counts = /** @type {number[]} */ ([]);
  const exemplars = /** @type {Exemplar[]} */ ([]);
  let schema = /** @type {number | null} */ (null), threshold = 0, zero = 0, spans = 0;
  const parts = { 9: [], 12: [], 10: [], 13: [], 11: Object.assign([], { isDouble: true }), 14: Object.assign([], { isDouble: true }) };
  cursor.message((key) => {
    const field = Math.floor(key / 8);
    if (key === 8) metric.count = cursor.varint();
    else if (key === 17) metric.sum = cursor.double();
    else if (key === 26) {
      let bound = 0, count = 0;
      cursor.message((inner) => {
        if (inner === 8) count = cursor.varint();
        else if (inner === 17) bound = cursor.double();
        else if (inner === 26) exemplars.push(readExemplar(cursor));
        else if (inner === 33) count = cursor.double() || count;
        else cursor.skip(inner);
      });
      bounds.push(bound);
      counts.push(count);
    } else if (key === 33) metric.count = cursor.double() || metric.count;
    else if (key === 40) schema = cursor.signed();
    else if (key === 49) threshold = cursor.double();
    else if (key === 56) zero = cursor.varint();
    else if (key === 65) zero = cursor.double() || zero;
    else if (key === 74 || key === 98) {
      let offset = 0, length = 0;
      cursor.message((inner) => {
        if (inner === 8) offset = cursor.signed();
        else if (inner === 16) length = cursor.varint();
        else cursor.skip(inner);
      });
      parts[field].push(offset, length);
      spans++;
    } else if (field === 10 || field === 11 || field === 13 || field === 14) cursor.numbers(key, parts[field]);
    else if (key === 122) metric.created = readTimestamp(cursor);
    else if (key === 130) exemplars.push(readExemplar(cursor));
    else cursor.skip(key);
  });
  // As Prometheus tells a native histogram; a schema alone may be written for any.
  if (schema !== null && (spans > 0 || zero > 0 || threshold > 0)) {
    metric.native = {
      schema, threshold, zero, count: metric.count, sum: metric.sum,
      positive: spannedBuckets(parts[12], parts[13], parts[14]),
      negative: spannedBuckets(parts[9], parts[10], parts[11]),
    };
  }
  if (bounds.length || !metric.native) {
    if (bounds[bounds.length - 1] !== Infinity) {
      bounds.push(Infinity);
      counts.push(metric.count);
    }
    metric.bounds = bounds;
    metric.counts = counts;
  }
  if (exemplars.length) metric.exemplars = exemplars;
}

/** @param {Cursor} cursor at the fields of a Metric, which end at `cursor.end` @returns {Metric} */
function readMetric(cursor) {
  const metric = /** @type {Metric} */ ({
    kind: "untyped", value: NaN, count: 0, sum: NaN, bounds: null, counts: null, native: null, quantiles: null,
    exemplars: null, created: null, at: null, labelsFrom: cursor.at, labelsTo: cursor.at,
  });
  while (cursor.at < cursor.end) {
    const from = cursor.at;
    const key = cursor.varint();
    if (key === 10) {
      if (metric.labelsTo !== from) throw new DecodeError("a metric has labels in two places");
      cursor.at = cursor.stop();
      metric.labelsTo = cursor.at;
    } else if (key === 18 || key === 26 || key === 42) {
      metric.kind = key === 18 ? "gauge" : key === 26 ? "counter" : "untyped";
      readNumber(cursor, metric);
    } else if (key === 34) {
      metric.kind = "summary";
      readSummary(cursor, metric);
    } else if (key === 58) {
      metric.kind = "histogram";
      readHistogram(cursor, metric);
    } else if (key === 48) metric.at = cursor.int64() / 1000;
    else cursor.skip(key);
  }
  return metric;
}

/** The number at `at` and the place after it; null if `bytes` end before. @returns {[number, number] | null} */
function whole(/** @type {Uint8Array} */ bytes, /** @type {number} */ at) {
  let value = 0, scale = 1;
  for (let count = 0; at < bytes.length; count++) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
    if (count > 8) throw new DecodeError("a number has more than ten bytes");
    scale *= 128;
  }
  return null;
}

/** Decodes what arrives, and tells a sink of each family and metric. */
class FamilyDecoder {
  /**
   * @param {{family: (head: Head) => void, metric: (metric: Metric, bytes: Uint8Array) => boolean, end: () => void}} sink
   *   `family` comes before the first metric; `metric` returns whether it takes another one; `end` ends a family.
   */
  constructor(sink) {
    this.sink = sink;
    this.rest = new Uint8Array(0);
    this.left = -1; // bytes of the family; -1 between families
    this.head = /** @type {Head | null} */ (null);
    this.told = false;
  }

  /** Decode what is complete. @param {Uint8Array} chunk @returns {Promise<boolean>} whether the sink takes more */
  async push(chunk) {
    let bytes = chunk;
    if (this.rest.length) {
      bytes = new Uint8Array(this.rest.length + chunk.length);
      bytes.set(this.rest);
      bytes.set(chunk, this.rest.length);
    }
    const cursor = new Cursor(bytes);
    let at = 0, steps = 0, since = performance.now();
    for (;;) {
      if (this.left < 0) {
        const length = whole(bytes, at);
        if (!length) break;
        [this.left, at] = length;
        this.head = { name: "", help: "", unit: "", type: 0 };
        this.told = false;
      }
      if (this.left === 0) {
        this.tell();
        this.sink.end();
        this.left = -1;
        continue;
      }
      const key = whole(bytes, at);
      if (!key) break;
      const sized = whole(bytes, key[1]);
      if (!sized) break;
      const stop = key[0] % 8 === 2 ? sized[0] + sized[1] : sized[1];
      if (key[0] % 8 !== 2 && key[0] % 8 !== 0) throw new DecodeError("a family has a field of an unknown kind");
      if (stop - at > this.left) throw new DecodeError("a field is longer than its family");
      if (stop > bytes.length) break;
      this.left -= stop - at;
      at = stop;
      const head = /** @type {Head} */ (this.head);
      if (key[0] === 34) {
        this.tell();
        cursor.at = sized[1];
        cursor.end = stop;
        if (!this.sink.metric(readMetric(cursor), bytes)) return false;
      } else if (key[0] === 24) head.type = sized[0];
      else if (key[0] === 10 || key[0] === 18 || key[0] === 42) {
        head[key[0] === 10 ? "name" : key[0] === 18 ? "help" : "unit"] = TEXT.decode(bytes.subarray(sized[1], stop));
      }
      if ((++steps & 63) === 0 && performance.now() - since > SLICE_MS) {
        await pause();
        since = performance.now();
      }
    }
    this.rest = bytes.slice(at);
    return true;
  }

  tell() {
    if (!this.told) this.sink.family(/** @type {Head} */ (this.head));
    this.told = true;
  }

  /** Throws if the last family is not complete. */
  finish() {
    if (this.left > 0 || this.rest.length) throw new DecodeError("the response ends within a family");
    if (this.left === 0) {
      this.tell();
      this.sink.end();
    }
  }
}

/**
 * Read a body to its end, or until the sink takes no more or `maxBytes` have come.
 * @param {ReadableStream<Uint8Array>} stream @param {FamilyDecoder["sink"]} sink @param {number} maxBytes
 * @returns {Promise<boolean>} whether it was read to its end
 */
async function readFamilies(stream, sink, maxBytes) {
  const decoder = new FamilyDecoder(sink);
  const reader = stream.getReader();
  let taken = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      taken += value.length;
      if (!(await decoder.push(value)) || taken > maxBytes) return false;
    }
    decoder.finish();
    return true;
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
