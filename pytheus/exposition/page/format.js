"use strict";
// Numbers as people read them, and the unit of a family. Every rounded number has its exact form beside it somewhere.

const NARROW = "\u202f"; // a narrow space that does not break, between a number and its unit
const MINUS = "\u2212";

/** Whether numbers are shown as they are. @type {boolean} */
let showExact = false;

/** The number as Prometheus writes it. @param {number} value */
function exactNumber(value) {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

/** A whole number with commas; Intl.NumberFormat takes longer to begin than the page. @param {number} value */
function grouped(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** At most `digits` significant ones, without zeros at the end. @param {number} value @param {number} digits */
function significant(value, digits = 3) {
  const text = value.toPrecision(digits);
  if (text.includes("e")) return text.replace("e+", "e");
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** @param {number} size @param {[number, string][]} steps the largest first @param {number} digits */
function scaled(size, steps, digits = 3) {
  for (const [step, name] of steps) {
    // Also what would be rounded up to the step.
    if (size >= step * 0.9995) return significant(size / step, size / step >= 999.5 ? 4 : digits) + (name && NARROW + name);
  }
  const [step, name] = steps[steps.length - 1];
  return significant(size / step, digits) + (name && NARROW + name);
}

const SI = /** @type {[number, string][]} */ ([[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);
const BYTES = /** @type {[number, string][]} */ ([[2 ** 60, "EiB"], [2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"], [1, "B"]]);
const SHORT = /** @type {[number, string][]} */ ([[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]]);
const METRIC = /** @type {[number, string][]} */ ([...SI, [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]]);

/** Two parts of a long duration. @param {number} seconds */
function longDuration(seconds) {
  for (const [size, name, part, small] of /** @type {[number, string, number, string][]} */ ([[86400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]])) {
    if (seconds < size) continue;
    const rounded = Math.round(seconds / part) * part;
    const rest = Math.round((rounded % size) / part);
    const whole = grouped(Math.floor(rounded / size));
    return rest ? `${whole}${NARROW}${name} ${rest}${NARROW}${small}` : `${whole}${NARROW}${name}`;
  }
  return scaled(seconds, SHORT);
}

/** @param {number} size not negative */
function plainNumber(size) {
  if (size === 0) return "0";
  if (Number.isInteger(size) && size < 1e5) return grouped(size);
  if (size >= 1e18 || size < 1e-3) return significant(size);
  if (size >= 1e3) return scaled(size, SI);
  return significant(size, 4);
}

/**
 * A number with its unit, rounded; exact if `showExact`.
 * @param {number} value @param {string} [unit] one of `unitOf`
 */
function human(value, unit = "") {
  if (Number.isNaN(value)) return "NaN";
  if (showExact || !Number.isFinite(value)) {
    const exact = exactNumber(value);
    return unit && unit !== "date" && Number.isFinite(value) ? `${exact}${NARROW}${unit === "seconds" ? "s" : unit === "bytes" ? "B" : unit === "ratio" ? "" : unit}`.trimEnd() : exact;
  }
  const sign = value < 0 ? MINUS : "";
  const size = Math.abs(value);
  switch (unit) {
    case "seconds":
      if (size === 0) return "0" + NARROW + "s";
      if (size < 1e-10 || size >= 1e12) return sign + significant(size) + NARROW + "s";
      return sign + (size >= 120 ? longDuration(size) : scaled(size, SHORT));
    case "bytes":
      if (size >= 2 ** 70) return sign + significant(size) + NARROW + "B";
      return sign + (size === 0 ? "0" + NARROW + "B" : scaled(size, BYTES));
    case "ratio":
      return size > 0 && (size < 1e-6 || size >= 1e6) ? sign + plainNumber(size) : sign + significant(size * 100) + NARROW + "%";
    case "percent":
      return sign + plainNumber(size) + NARROW + "%";
    case "date":
      return dateText(value);
    case "":
      return sign + plainNumber(size);
    case "celsius":
      return sign + plainNumber(size) + NARROW + "°C";
    case "meters": case "grams": case "volts": case "amperes": case "joules": case "watts": case "hertz": {
      const letter = { meters: "m", grams: "g", volts: "V", amperes: "A", joules: "J", watts: "W", hertz: "Hz" }[unit];
      if (size === 0 || size < 1e-9 || size >= 1e18) return sign + plainNumber(size) + NARROW + letter;
      const text = scaled(size, METRIC);
      return sign + (text.includes(NARROW) ? text + letter : text + NARROW + letter);
    }
    default:
      return sign + plainNumber(size) + NARROW + unit.slice(0, 24);
  }
}

/** How much in each second. @param {number} value @param {string} [unit] */
function humanRate(value, unit = "") {
  if (unit === "ratio" || unit === "date" || unit === "percent") unit = "";
  return (showExact || unit || Math.abs(value) >= 1e3 || Number.isInteger(value) ? human(value, unit) : (value < 0 ? MINUS : "") + significant(Math.abs(value))) + "/s";
}

/** A part of a whole, in percent. @param {number} part a fraction */
function humanPart(part) {
  if (showExact) return human(part, "ratio");
  const percent = part * 100;
  return (percent > 0 && percent < 0.1 ? "<" + NARROW + "0.1" : percent === 100 ? "100" : percent.toFixed(1)) + NARROW + "%";
}

/** @param {number} change a fraction */
function humanChange(change) {
  if (!Number.isFinite(change)) return change > 0 ? "new" : "";
  const percent = Math.abs(change) * 100;
  if (percent < 0.05) return "0" + NARROW + "%";
  const text = percent >= 1000 ? `×${significant(change + 1, 2)}` : significant(percent, percent >= 100 ? 3 : 2) + NARROW + "%";
  return (change > 0 ? "+" : MINUS) + text;
}

/** @param {number} seconds since the Unix epoch */
function dateText(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return exactNumber(seconds);
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long ago. @param {number} seconds since the Unix epoch @param {number} [now] */
function ago(seconds, now = Date.now() / 1000) {
  const age = now - seconds;
  if (!Number.isFinite(age)) return "";
  if (age < -1) return "in " + human(-age, "seconds");
  return age < 1 ? "now" : human(age < 120 ? Math.floor(age) : age, "seconds") + " ago";
}

const UNITS = ["seconds", "bytes", "ratio", "percent", "celsius", "meters", "grams", "volts", "amperes", "joules", "watts", "hertz"];

/**
 * The unit to show a family's numbers in: the declared one, or the one that its name ends in.
 * @param {string} name @param {string} type @param {string} declared
 */
function unitOf(name, type, declared) {
  if (type === "info" || type === "stateset") return "";
  const stem = name.replace(/_total$/, "");
  if (type !== "counter" && /(^|[_.])(timestamp|start_time|created|expiry|not_after|mtime)_?(seconds)?$/.test(stem) && /seconds$|timestamp$/.test(stem)) return "date";
  if (declared) return declared;
  return UNITS.find((unit) => stem.endsWith("_" + unit) || stem.endsWith("." + unit)) ?? "";
}

/** @param {number} count @param {string} noun @param {string} [plural] */
function counted(count, noun, plural = noun + "s") {
  return `${grouped(count)} ${count === 1 ? noun : plural}`;
}

/** A text of another program, bounded. @param {unknown} text @param {number} limit */
function clipped(text, limit) {
  const whole = String(text ?? "");
  return whole.length > limit ? whole.slice(0, limit - 1) + "…" : whole;
}
