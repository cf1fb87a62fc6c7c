"use strict";
// What the right side shows while no family is open: the process, the registry and why it is in use, problems, failed
// collectors, processes, and the largest families.

/** @param {unknown} value @returns {string} what the server told, in a line */
function inWords(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length ? value.map(inWords).join(", ") : "–";
  if (typeof value === "object") {
    const { value: inner, source, ...others } = /** @type {Record<string, unknown>} */ (value);
    if (inner !== undefined && !Object.keys(others).length) return inWords(inner) + (source ? ` (${inWords(source)})` : "");
    const entries = Object.entries(value);
    return entries.length ? entries.map(([name, each]) => `${name}: ${inWords(each)}`).join("; ") : "–";
  }
  return clipped(value, 2000);
}

/** @param {[string, unknown][]} entries */
function facts(entries) {
  return h("dl.facts", null, ...entries.filter(([, value]) => value instanceof Node || (value !== 0 && inWords(value) !== "–")).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value instanceof Node ? value : inWords(value)))));
}

/** @param {string} title @param {...any} content */
function card(title, ...content) {
  return h("section.card", { "aria-label": title }, h("h3", null, title), ...content);
}

/** @param {string} label @param {string[]} heads @param {any[][]} rows @param {number} most */
function plainTable(label, heads, rows, most = 200) {
  const shown = rows.slice(0, most);
  return h("div.scroller", { tabindex: 0, role: "region", "aria-label": label },
    h("table", null, h("thead", null, h("tr", null, ...heads.map((head) => h("th", { scope: "col", class: head.startsWith("#") && "number" }, head.replace(/^#/, ""))))),
      h("tbody", null, ...shown.map((row) => h("tr", null, ...row.map((cell, place) => h("td", { class: heads[place].startsWith("#") && "number" }, cell))))),
      rows.length > most && h("tfoot", null, h("tr", null, h("td", { colspan: heads.length }, `${grouped(rows.length - most)} more are not shown.`)))));
}

/** Entries of the server as objects, whatever it sent. @param {unknown} list @returns {any[]} */
function entriesOf(list) {
  return Array.isArray(list) ? list.filter((each) => typeof each === "object" && each !== null) : [];
}

/** A bar that shows a part. @param {number} part */
function meter(part) {
  const fill = h("span");
  fill.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  return h("span.meter", { "aria-hidden": "true" }, fill);
}

class Overview {
  /** @param {(family: Family) => void} open */
  constructor(open) {
    this.open = open;
    this.element = h("div.overview");
    this.shown = "";
  }

  /** @param {any} data @param {Family[]} families @param {number} age seconds since `data` came */
  show(data, families, age) {
    if (!data) return;
    const { families: _, uptime_seconds: uptime, ...told } = data;
    const signature = JSON.stringify([told, families.length, families.reduce((sum, { size }) => sum + size, 0)]);
    if (this.uptime && typeof uptime === "number") setText(this.uptime, human(uptime + age, "seconds"));
    if (signature === this.shown) return;
    this.shown = signature;
    const scroll = this.element.scrollTop;
    this.uptime = h("dd", null, typeof uptime === "number" ? human(uptime + age, "seconds") : "–");
    this.element.replaceChildren(this.totals(data, families), ...this.troubles(data), this.processes(data), this.largest(families), this.registry(data));
    this.element.scrollTop = scroll;
  }

  /** @param {any} data @param {Family[]} families */
  totals(data, families) {
    const series = families.reduce((sum, { size }) => sum + size, 0);
    const tile = (/** @type {string} */ name, /** @type {any} */ value) => h("div.tile", null, h("dt", null, name), value instanceof Node ? value : h("dd", null, value));
    return h("div", null, h("h2.quiet", null, "Overview"), h("dl.tiles", null,
      tile("Families", grouped(families.length)), tile("Series", human(series)), tile("Up for", this.uptime),
      data.pid !== undefined && tile("Process", inWords(data.pid)),
      data.python !== undefined && tile("Python", inWords(data.python)),
      tile("pytheus", inWords(data.version) + (data.compiled === false ? ", pure" : ""))));
  }

  /** @param {any} data */
  troubles(data) {
    const cards = [];
    const texts = (/** @type {unknown} */ list) => (Array.isArray(list) ? list : []).map((each) => h("li", null, inWords(each)));
    const problems = texts(data.problems), warnings = texts(data.warnings), failed = entriesOf(data.failed);
    for (const kind of ["families", "processes"]) if (data[kind + "_left_out"] > 0) warnings.push(h("li", null, `${grouped(data[kind + "_left_out"])} more ${kind} are not listed.`));
    if (problems.length) cards.push(h("div.bad", null, card(counted(problems.length, "problem"), h("ul", null, ...problems))));
    if (failed.length) {
      cards.push(h("div.bad", null, card(counted(failed.length, "failed collector"), plainTable("Failed collectors", ["Collector", "Error", "#Times", "#Last"],
        failed.map((each) => [h("code", null, clipped(each.collector, 300)), h("span.wraps", null, clipped(each.error, 1000)), each.count === undefined ? "" : human(Number(each.count)), Number.isFinite(each.at) ? h("span", { title: dateText(each.at) }, dateText(each.at).slice(11)) : ""])))));
    }
    if (warnings.length) cards.push(h("div.warn", null, card(counted(warnings.length, "warning"), h("ul", null, ...warnings))));
    return cards;
  }

  /** @param {any} data */
  processes(data) {
    const processes = entriesOf(data.processes);
    if (!processes.length) return "";
    const alive = processes.filter(({ state }) => state === "alive").length;
    const names = [...new Set(processes.flatMap((each) => Object.keys(each)))].slice(0, 10);
    const isNumber = (/** @type {string} */ name) => processes.some((each) => typeof each[name] === "number");
    return card(`${counted(processes.length, "process", "processes")}, ${alive} alive`, plainTable("Processes", names.map((name) => (isNumber(name) ? "#" : "") + name.replace(/_seconds$/, "").replaceAll("_", " ")),
      processes.map((each) => names.map((name) => {
        const value = each[name];
        if (name === "state") return h("span.pill", { "data-state": clipped(value, 20) }, clipped(value, 40));
        if (typeof value === "number") return name.includes("pid") || name === "id" ? String(value) : human(value, /age|seconds/.test(name) ? "seconds" : /bytes/.test(name) ? "bytes" : "");
        return inWords(value);
      }))));
  }

  /** @param {Family[]} families */
  largest(families) {
    const sorted = families.filter(({ size }) => size > 1).sort((a, b) => b.size - a.size).slice(0, 8);
    if (!sorted.length) return "";
    const total = families.reduce((sum, { size }) => sum + size, 0);
    return card("Most series", plainTable("Families with the most series", ["Family", "#Series", "Share", "Most values"], sorted.map((family) => [
      h("button.plain.link", { type: "button", onclick: () => this.open(family) }, family.name), human(family.size),
      h("span.share", null, meter(family.size / total), humanPart(family.size / total)), this.blamed(family),
    ])));
  }

  /** The label with the most values. @param {Family} family */
  blamed(family) {
    let best = -1;
    family.labels.forEach((_, place) => { if ((family.values[place] ?? 0) > (family.values[best] ?? 0)) best = place; });
    const unknown = family.labels.findIndex((_, place) => family.values[place] === null);
    if (unknown >= 0) return h("span", null, h("code", null, family.labels[unknown]), " very many");
    return best < 0 ? "" : h("span", null, h("code", null, family.labels[best]), ` ${human(Number(family.values[best]))}`);
  }

  /** @param {any} data */
  registry(data) {
    const { registry = {}, plugins = {} } = data;
    const known = new Set(["version", "compiled", "python", "pid", "uptime_seconds", "registry", "plugins", "problems", "warnings", "families", "processes", "failed", "families_left_out", "processes_left_out"]);
    const product = registry.distribution ? `${inWords(registry.distribution)} ${inWords(registry.version ?? "")}`.replace(/ –$/, "") : undefined;
    const others = Object.entries(data).filter(([name]) => !known.has(name)).slice(0, 30);
    return card("Registry", facts([
      ["in use", h("span", null, h("strong", null, inWords(registry.name)), registry.address && registry.address !== registry.name ? h("code", null, " " + inWords(registry.address)) : "")],
      ["chosen", registry.source], ["from", product],
      ["plugins", plugins.named ?? plugins], ["blocked", plugins.blocked],
      ...others.map(([name, value]) => /** @type {[string, unknown]} */ ([name.replaceAll("_", " "), value])),
    ]));
  }
}
