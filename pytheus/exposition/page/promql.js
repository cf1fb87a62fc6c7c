"use strict";
// The PromQL expression for what is looked at.

/** A string of PromQL. @param {string} text */
function quotedText(text) {
  // eslint-disable-next-line no-control-regex -- they are escaped
  return '"' + text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n").replace(/[\u0000-\u001f\u007f]/g, (letter) => "\\x" + letter.charCodeAt(0).toString(16).padStart(2, "0")) + '"';
}

/** A selector of series. Names that are not legacy names are quoted, which Prometheus 3 reads. @param {string} name @param {[string, string][]} labels */
function selector(name, labels = []) {
  const isPlain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  const matchers = labels.map(([label, value]) => `${/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) ? label : quotedText(label)}=${quotedText(value)}`);
  if (!isPlain) matchers.unshift(quotedText(name));
  return (isPlain ? name : "") + (matchers.length ? `{${matchers.join(", ")}}` : "");
}

/**
 * @param {Family} family @param {[string, string][] | null} labels of one series; null for all
 * @returns {string}
 */
function promqlOf(family, labels) {
  const { name, type } = family;
  const chosen = labels ?? [];
  const sum = (/** @type {string} */ expression, by = "") => labels && !by ? expression : `sum${by && ` by (${by}) `}(${expression})`;
  switch (type) {
    case "counter":
      return sum(`rate(${selector(name, chosen)}[5m])`);
    case "histogram":
      return family.isNative
        ? `histogram_quantile(0.95, ${sum(`rate(${selector(name, chosen)}[5m])`)})`
        : `histogram_quantile(0.95, ${sum(`rate(${selector(name + "_bucket", chosen)}[5m])`, "le")})`;
    case "summary":
      return `${sum(`rate(${selector(name + "_sum", chosen)}[5m])`)} / ${sum(`rate(${selector(name + "_count", chosen)}[5m])`)}`;
    case "stateset":
      return selector(name, chosen) + " == 1";
    default:
      return selector(name, chosen);
  }
}
