"use strict";
// One family: its numbers over time, its distribution, its series as a table, its labels' cardinality, its exemplars.

const QUANTILES = [0.5, 0.9, 0.95, 0.99];
const LABEL_COLUMNS = 8;

/**
 * How many values each label has, and how many series there would be without it.
 * @param {Series[]} series @param {() => boolean} isWanted asked now and then
 * @returns {Promise<{label: string, values: number, without: number, top: [string, number][]}[] | null>} null if it is not wanted any more
 */
async function cardinalityOf(series, isWanted) {
  const labels = [...new Set(series.slice(0, 2000).flatMap((each) => each.labels.map(([name]) => name)))].slice(0, 30);
  let since = performance.now();
  const breathe = async () => {
    if (performance.now() - since <= SLICE_MS) return true;
    await pause();
    since = performance.now();
    return isWanted();
  };
  const counts = labels.map(() => /** @type {Map<string, number>} */ (new Map()));
  const ids = labels.map(() => /** @type {Map<string, number>} */ (new Map()));
  const rows = /** @type {number[][]} */ ([]);
  for (const each of series) {
    rows.push(labels.map((label, place) => {
      const value = each.label(label);
      counts[place].set(value, (counts[place].get(value) ?? 0) + 1);
      let id = ids[place].get(value);
      if (id === undefined) ids[place].set(value, id = ids[place].size);
      return id;
    }));
    if (!(await breathe())) return null;
  }
  const results = [];
  for (let place = 0; place < labels.length; place++) {
    const rest = new Set();
    for (const row of rows) {
      let key = "";
      for (let other = 0; other < row.length; other++) if (other !== place) key += row[other] + ",";
      rest.add(key);
      if (!(rest.size & 63) && !(await breathe())) return null;
    }
    const top = /** @type {[string, number][]} */ ([]);
    for (const entry of counts[place]) {
      if (top.length < 5 || entry[1] > top[4][1]) {
        top.push(entry);
        top.sort((a, b) => b[1] - a[1]);
        top.length = Math.min(top.length, 5);
      }
      if (!(await breathe())) return null;
    }
    results.push({ label: labels[place], values: counts[place].size, without: rest.size, top });
  }
  return results.sort((a, b) => a.without - b.without || b.values - a.values);
}

class Detail {
  /** @param {{close: () => void, selected: () => void, readOnce: (family: Family) => void}} page */
  constructor(page) {
    this.page = page;
    this.family = /** @type {Family | null} */ (null);
    this.series = /** @type {Series | null} */ (null); // the one that is looked at
    this.tab = "series";
    this.isLately = true;
    this.isClassic = false;
    this.words = /** @type {string[]} */ ([]);
    this.sort = { column: "", falling: false };
    this.counting = 0;
    this.element = h("div.detail");
  }

  /** @param {Family} family */
  show(family) {
    this.family?.keepSeries(false);
    this.family = family;
    family.keepSeries(true);
    this.series = null;
    this.words = [];
    this.tab = "series";
    this.sort = { column: "", falling: false };
    this.counting++;
    this.build();
    this.update(true);
  }

  close() {
    this.family?.keepSeries(false);
    this.family = this.series = null;
    this.counting++;
    this.element.replaceChildren();
  }

  build() {
    const family = /** @type {Family} */ (this.family);
    this.title = h("h2.mono", { tabindex: -1 }, family.name);
    this.help = h("p.help");
    this.meta = h("p.meta");
    this.chosen = h("p.chosen", { hidden: true });
    this.expression = h("code");
    this.note = h("p.note", { role: "status", hidden: true });
    this.tiles = h("dl.tiles");
    this.time = new TimeChart();
    this.timeTitle = h("h3");
    this.bars = null;
    const charts = h("div.charts", null, h("figure", null, h("figcaption", null, this.timeTitle), this.time.element));
    if (family.isDistribution && family.type !== "summary") {
      this.bars = new BarChart();
      const choose = (/** @type {string} */ label, /** @type {() => boolean} */ isOn, /** @type {() => void} */ act) => {
        const button = h("button.small", { type: "button", "aria-pressed": isOn(), onclick: () => {
          act();
          for (const each of this.switches) each.button.setAttribute("aria-pressed", String(each.isOn()));
          this.update();
        } }, label);
        this.switches.push({ button, isOn });
        return button;
      };
      this.switches = /** @type {{button: HTMLElement, isOn: () => boolean}[]} */ ([]);
      this.span = h("span.switch", { role: "group", "aria-label": "Observations of" },
        choose("Last minute", () => this.isLately, () => { this.isLately = true; }),
        choose("Since start", () => !this.isLately, () => { this.isLately = false; }));
      this.kinds = h("span.switch", { role: "group", "aria-label": "Buckets", hidden: true },
        choose("Native", () => !this.isClassic, () => { this.isClassic = false; }),
        choose("Classic", () => this.isClassic, () => { this.isClassic = true; }));
      this.barsTitle = h("h3", null, "Distribution");
      charts.append(h("figure", null, h("figcaption", null, this.barsTitle, this.kinds, this.span), this.bars.element));
    }
    this.states = h("div.states", { hidden: true });
    this.tabs = h("div.tabs", { role: "tablist", "aria-label": "Parts of the family", onkeydown: (/** @type {KeyboardEvent} */ event) => this.moveTab(event) });
    this.panel = h("div.panel", { role: "tabpanel", id: "panel", tabindex: -1 });
    this.count = h("p.matches", { role: "status" });
    this.filter = h("input", { type: "search", "aria-label": "Filter series by labels", placeholder: "Filter series", autocomplete: "off", spellcheck: "false", maxlength: 200, oninput: () => {
      this.words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean).slice(0, 10);
      this.list();
    } });
    this.columnsShown = "";
    this.grid = /** @type {Grid<Series>} */ (new Grid({
      label: `Series of ${family.name}`, id: "series", rowHeight: 28,
      open: (series) => this.select(series === this.series ? null : series),
      sort: (column) => {
        this.sort = { column, falling: this.sort.column === column ? !this.sort.falling : !column.startsWith("label:") };
        this.list();
      },
      row: (row, item) => {
        row.classList.toggle("open", item === this.series);
        setAttribute(row, "aria-selected", String(item === this.series));
      },
    }));
    this.element.replaceChildren(
      h("header.detail-head", null,
        h("div.detail-title", null, this.title, copyButton("Copy", () => family.name, "name"), h("button.small", { type: "button", onclick: this.page.close, "aria-label": "Close details (Escape)" }, "Close")),
        this.meta, this.help,
        h("div.expression", null, this.expression, copyButton("Copy PromQL", () => promqlOf(family, this.series && this.series.labels), "PromQL expression")),
        this.chosen, this.note),
      this.tiles, charts, this.states, this.tabs, this.panel);
    this.element.scrollTop = 0;
  }

  /** @param {Series | null} series */
  select(series) {
    if (this.series) this.series.recent = null;
    this.series = series;
    if (series) series.recent = [];
    announce(series ? `Series ${labelText(series.labels) || "without labels"}` : "All series");
    this.update();
    this.page.selected();
  }

  /** @param {boolean} [isNew] */
  update(isNew = false) {
    const { family, series } = this;
    if (!family) return;
    this.meta.replaceChildren(typeTag(family.type), ...(family.isNative ? [" ", h("span.type", null, "native")] : []),
      h("span", null, family.unit ? `unit: ${family.unit === "date" ? "time" : family.unit}${family.declaredUnit ? "" : " (by its name)"}` : "no unit"),
      h("span", null, counted(family.size, "series", "series")));
    setText(this.help, clipped(family.help, 4000) || "No help text.");
    setText(this.expression, promqlOf(family, series && series.labels));
    this.noteWhat();
    this.chosen.hidden = !series;
    if (series) {
      const key = series.key;
      if (this.chosen.dataset.key !== key) {
        this.chosen.dataset.key = key;
        this.chosen.replaceChildren("Only ", h("code", null, labelText(series.labels) || "the series without labels"), " ", h("button.small", { type: "button", onclick: () => this.select(null) }, "All series"));
      }
    } else this.chosen.dataset.key = "";
    this.draw();
    this.showTabs();
    if (this.tab === "series") this.list();
    else if (this.tab === "exemplars") this.showExemplars();
    else if (this.tab === "buckets") this.showBuckets();
    else if (isNew) this.showCardinality();
  }

  noteWhat() {
    const family = /** @type {Family} */ (this.family);
    let text = "", action = null;
    if (!isSelectable(family)) text = "The name is too long to be selected, so that its numbers cannot be read here.";
    else if (family.isAbsent) text = "The last response had nothing of this family. Its collector may have failed, or it was removed.";
    else if (family.isCut) text = `The first ${grouped(family.series.length)} of ${counted(family.size, "series", "series")} were read; sums and cardinality are of these.`;
    else if (family.size > AUTOMATIC_SERIES && !family.reading) text = `${counted(family.size, "series", "series")}: reading the first ones.`;
    if (this.series && this.series.reading !== family.reading) text = "This series was not in the last response.";
    if (family.size > AUTOMATIC_SERIES) action = h("button.small", { type: "button", onclick: () => this.page.readOnce(family) }, "Read again");
    this.note.hidden = !text && !action;
    if (this.note.dataset.text === text + Boolean(action)) return;
    this.note.dataset.text = text + Boolean(action);
    this.note.replaceChildren(text, " ", action ?? "");
  }

  /** What is observed, of the chosen series or all. @returns {{distribution: Distribution | null, isLately: boolean}} */
  observed() {
    const { series } = this, family = /** @type {Family} */ (this.family);
    const lately = this.isLately ? (series ? summed(series.recent ?? []) : family.lately()) : null;
    return { distribution: lately ?? (series ? series.metric : family.sum), isLately: lately !== null };
  }

  draw() {
    const { series } = this, family = /** @type {Family} */ (this.family);
    const { unit } = family;
    const history = series ? series.history : family.history;
    const rate = family.isCumulative ? (series ? series.rate : family.rate) : NaN;
    const tiles = /** @type {[string, string, string][]} */ ([]);
    const binary = unit === "bytes";
    if (family.isCumulative) {
      const points = history?.rates() ?? [];
      const rateUnit = family.isDistribution ? "" : unit;
      setText(this.timeTitle, family.isDistribution ? "Observations a second" : "Increase a second");
      this.time.show(points, (value) => humanRate(value, rateUnit), `Rate over time, now ${Number.isNaN(rate) ? "unknown" : humanRate(rate, rateUnit)}`, { zero: true, binary });
    } else {
      setText(this.timeTitle, !series && family.series.length > 1 ? "Largest value of all series" : "Value");
      this.time.show(history?.points() ?? [], (value) => human(value, unit), `Value over time`, { zero: false, binary });
    }
    if (family.isDistribution) {
      const { distribution, isLately } = this.observed();
      const isSummary = family.type === "summary";
      if (family.isCumulative) tiles.push(["Rate", Number.isNaN(rate) ? "–" : humanRate(rate), String(rate)]);
      if (distribution) {
        tiles.push(["Average", distribution.count ? human(distribution.sum / distribution.count, unit) : "–", exactNumber(distribution.sum / distribution.count)]);
        const marks = /** @type {[string, number][]} */ ([]);
        if (!isSummary) {
          for (const q of QUANTILES) {
            const value = quantileOf(q, distribution, this.isClassic);
            if (q !== 0.9) marks.push([`p${q * 100}`, value]);
            tiles.push([`p${q * 100}`, human(value, unit), exactNumber(value)]);
          }
        } else if (series?.metric?.quantiles || family.series.length === 1) {
          for (const [q, value] of (series ?? family.series[0]).metric?.quantiles ?? []) tiles.push([`p${significant(q * 100, 6)}`, human(value, unit), exactNumber(value)]);
        }
        tiles.push(["Count", human(distribution.count), exactNumber(distribution.count)]);
        if (this.bars) {
          const bars = barsOf(distribution, this.isClassic);
          this.kinds.hidden = !(distribution.native && distribution.bounds);
          const others = /** @type {DistributionSum} */ (distribution).others;
          setText(this.barsTitle, (isLately || !this.isLately || family.type === "gaugehistogram" ? "Distribution" : "None in the last minute; since start") + (others ? `; ${counted(others, "series", "series")} with other buckets left out` : ""));
          this.bars.show(bars, marks, unit, `Distribution of ${human(distribution.count)} observations: ${marks.map(([name, value]) => `${name} ${human(value, unit)}`).join(", ")}`);
        }
      }
      this.since(tiles, series?.metric?.created);
    } else if (family.type === "counter") {
      tiles.push(["Rate", Number.isNaN(rate) ? "–" : humanRate(rate, unit), exactNumber(rate)]);
      const value = series ? series.value : family.total;
      tiles.push(["Total", human(value, unit), exactNumber(value)]);
      if (history && history.length > 1) {
        const grown = history.values[history.at(history.length - 1)] - history.values[history.at(0)];
        tiles.push(["While watched", "+" + human(grown, unit), exactNumber(grown)]);
      }
      if (!series && family.resets) tiles.push(["Resets seen", String(family.resets), String(family.resets)]);
      this.since(tiles, (series ?? (family.series.length === 1 ? family.series[0] : null))?.metric?.created);
    } else if (family.type !== "info" && family.type !== "stateset") {
      if (series || family.series.length === 1) {
        const value = (series ?? family.series[0]).value;
        tiles.push(["Value", human(value, unit), exactNumber(value)]);
        if (unit === "date") tiles.push(["That is", ago(value), exactNumber(value)]);
      } else if (family.series.length) {
        tiles.push(["Largest", human(family.most, unit), exactNumber(family.most)], ["Smallest", human(family.least, unit), exactNumber(family.least)]);
        if (unit !== "date") tiles.push(["Sum", human(family.total, unit), exactNumber(family.total)], ["Average", human(family.total / family.series.length, unit), exactNumber(family.total / family.series.length)]);
      }
    }
    const isPlain = family.type === "info" || family.type === "stateset";
    this.time.element.parentElement.hidden = isPlain;
    this.states.hidden = !isPlain;
    if (isPlain) this.showStates();
    if (this.tiles.childElementCount !== tiles.length) this.tiles.replaceChildren(...tiles.map(() => h("div.tile", null, h("dt"), h("dd"))));
    tiles.forEach(([name, text, exact], place) => {
      const [term, value] = this.tiles.children[place].children;
      setText(term, name);
      setText(value, text);
      setAttribute(value, "title", exact);
    });
    this.tiles.hidden = !tiles.length;
  }

  /** @param {[string, string, string][]} tiles @param {number | null} [created] */
  since(tiles, created) {
    if (created) tiles.push(["Since", ago(created), dateText(created)]);
  }

  /** Infos as facts, and each set of states with the active one marked. */
  showStates() {
    const family = /** @type {Family} */ (this.family);
    const signature = JSON.stringify(family.series.slice(0, 500).map(({ key, value }) => [key, value]));
    if (this.states.dataset.shown === signature) return;
    this.states.dataset.shown = signature;
    if (family.type === "info") {
      this.states.replaceChildren(...family.series.slice(0, 20).map(({ labels }) => facts(labels)));
      return;
    }
    const sets = /** @type {Map<string, {labels: [string, string][], states: [string, number][]}>} */ (new Map());
    const own = family.labels.includes(family.name) || !family.series[0] ? family.name : family.series[0].labels.find(([name]) => name === family.name)?.[0] ?? family.series[0].labels.at(-1)?.[0];
    for (const each of family.series.slice(0, 500)) {
      const labels = each.labels.filter(([name]) => name !== own);
      const key = seriesKey(labels);
      if (!sets.has(key)) sets.set(key, { labels, states: [] });
      sets.get(key)?.states.push([each.label(String(own)), each.value]);
    }
    this.states.replaceChildren(...[...sets.values()].slice(0, 50).map(({ labels, states }) => h("p", null,
      labels.length ? h("code", null, labelText(labels) + " ") : null,
      ...states.flatMap(([state, value]) => [h("span.pill", { "data-state": value === 1 ? "active" : "inactive" }, state, value === 1 && h("span.unseen", null, " (active)")), " "]))));
  }

  // Tabs ------------------------------------------------------------------------------------------------------------

  showTabs() {
    const family = /** @type {Family} */ (this.family);
    const exemplars = family.series.reduce((sum, { metric }) => sum + (metric?.exemplars?.length ?? 0), 0);
    const tabs = [["series", `Series ${grouped(family.series.length)}`]];
    if (family.isDistribution && family.type !== "summary") tabs.push(["buckets", "Buckets"]);
    if (family.series.some(({ labels }) => labels.length)) tabs.push(["cardinality", "Cardinality"]);
    if (exemplars) tabs.push(["exemplars", `Exemplars ${grouped(exemplars)}`]);
    if (!tabs.some(([id]) => id === this.tab)) this.tab = "series";
    const ids = tabs.map(([id]) => id).join();
    if (this.tabs.dataset.ids !== ids) {
      this.tabs.dataset.ids = ids;
      this.tabs.replaceChildren(...tabs.map(([id]) => h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", onclick: () => this.openTab(id) })));
    }
    tabs.forEach(([id, text], place) => {
      const button = this.tabs.children[place];
      setText(button, text);
      button.setAttribute("aria-selected", String(id === this.tab));
      button.tabIndex = id === this.tab ? 0 : -1;
    });
    this.panel.setAttribute("aria-labelledby", `tab-${this.tab}`);
    if (this.panel.dataset.tab !== this.tab) {
      this.panel.dataset.tab = this.tab;
      if (this.tab === "series") this.panel.replaceChildren(h("div.panel-tools", null, this.filter, this.count), h("div.fill", null, this.grid.element));
      else this.panel.replaceChildren();
    }
  }

  /** @param {string} id */
  openTab(id) {
    this.tab = id;
    this.update(true);
  }

  /** @param {KeyboardEvent} event */
  moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.tabs.children];
    const next = buttons[(buttons.findIndex((each) => each.getAttribute("aria-selected") === "true") + step + buttons.length) % buttons.length];
    this.openTab(next.id.slice(4));
    /** @type {HTMLElement} */ (next).focus();
    event.preventDefault();
  }

  /** The table of series: filtered, sorted. */
  list() {
    const { words } = this, family = /** @type {Family} */ (this.family);
    this.setColumns();
    let series = words.length ? family.series.filter(({ text }) => words.every((word) => text.includes(word))) : family.series;
    const { column, falling } = this.sort;
    if (column) {
      const sign = falling ? -1 : 1;
      const of = this.sortKey(column);
      const keys = series.map((each) => ({ each, key: of(each) }));
      keys.sort((a, b) => (a.key === b.key ? 0 : Number.isNaN(a.key) ? 1 : Number.isNaN(b.key) ? -1 : a.key < b.key ? -sign : sign));
      series = keys.map(({ each }) => each);
    }
    this.grid.setSorted(column, falling);
    this.grid.setItems(series);
    setText(this.count, words.length ? `${grouped(series.length)} of ${counted(family.series.length, "series", "series")}` : "");
  }

  /** @param {string} column @returns {(series: Series) => any} */
  sortKey(column) {
    if (column.startsWith("label:")) {
      const name = column.slice(6);
      const isNumeric = this.family?.series.every((each) => each.label(name) !== "" && Number.isFinite(Number(each.label(name))));
      return (each) => (isNumeric ? Number(each.label(name)) : each.label(name));
    }
    if (column === "rate") return (each) => each.rate;
    if (column === "average") return (each) => (each.metric ? each.metric.sum / each.metric.count : NaN);
    if (column.startsWith("q:")) return (each) => this.quantile(each, Number(column.slice(2)));
    return (each) => each.value;
  }

  /** @param {Series} series @param {number} q */
  quantile(series, q) {
    const { metric } = series;
    if (!metric) return NaN;
    if (metric.quantiles) return metric.quantiles.find(([own]) => own === q)?.[1] ?? NaN;
    return quantileOf(q, metric, this.isClassic);
  }

  setColumns() {
    const family = /** @type {Family} */ (this.family);
    const names = family.series.length ? [...new Set(family.series.slice(0, 50).flatMap(({ labels }) => labels.map(([name]) => name)))] : family.labels;
    const shown = names.slice(0, LABEL_COLUMNS);
    const quantiles = family.type === "summary" ? (family.series[0]?.metric?.quantiles ?? []).map(([q]) => q).slice(0, 5) : family.isDistribution ? [0.5, 0.95, 0.99] : [];
    const signature = JSON.stringify([names, quantiles]);
    if (signature === this.columnsShown) return;
    this.columnsShown = signature;
    const { unit } = family;
    const number = (/** @type {string} */ id, /** @type {string} */ title, /** @type {(series: Series) => number} */ of, /** @type {(value: number) => string} */ text, width = "74px") => ({
      id, title, width, className: "number", sortable: true, render: (/** @type {HTMLElement} */ cell, /** @type {Series} */ item) => {
        const value = of(item);
        setText(cell, Number.isNaN(value) && id !== "value" ? "–" : text(value));
        setAttribute(cell, "title", exactNumber(value));
        cell.classList.toggle("zero", value === 0);
      } });
    const columns = /** @type {Column<Series>[]} */ (shown.map((name) => ({
      id: `label:${name}`, title: name, width: "minmax(72px, 1fr)", className: "label", sortable: true, render: (cell, item) => {
        const value = item.label(name);
        setMarked(cell, clipped(value, 200) || "∅", this.words);
        setAttribute(cell, "title", clipped(value, 2000));
        cell.classList.toggle("zero", value === "");
      },
    })));
    if (names.length > shown.length) columns.push({ id: "others", title: "other labels", width: "minmax(90px, 1fr)", className: "label", render: (cell, item) => setText(cell, clipped(labelText(item.labels.filter(([name]) => !shown.includes(name))), 400)) });
    if (!columns.length) columns.push({ id: "none", title: "Labels", width: "minmax(72px, 1fr)", className: "label zero", render: (cell) => setText(cell, "none") });
    if (family.isDistribution) {
      columns.push(number("value", "Count", (each) => each.value, (value) => human(value)));
      if (family.isCumulative) columns.push(number("rate", "Rate", (each) => each.rate, (value) => humanRate(value)));
      if (!quantiles.length) columns.push(number("average", "Average", (each) => (each.metric ? each.metric.sum / each.metric.count : NaN), (value) => human(value, unit)));
      for (const q of quantiles) columns.push(number(`q:${q}`, `p${significant(q * 100, 6)}`, (each) => this.quantile(each, q), (value) => human(value, unit)));
    } else {
      columns.push(number("value", family.type === "counter" ? "Total" : "Value", (each) => each.value, (value) => human(value, unit), "110px"));
      if (family.isCumulative) columns.push(number("rate", "Rate", (each) => each.rate, (value) => humanRate(value, unit), "84px"));
    }
    if (family.type !== "info") {
      columns.push({ id: "trend", title: "Trend", width: `${SPARK_WIDTH + 8}px`, className: "trend", create: (cell) => {
        const spark = sparkline();
        cell.append(spark.element);
        return spark;
      }, render: (_, item, spark) => spark.show(item, item.history ? item.reading : -2, () => (item.history ? (family.isCumulative ? item.history.rates() : item.history.points()) : [])) });
    }
    const least = columns.reduce((sum, { width }) => sum + (Number(/(\d+)px/.exec(width)?.[1]) || 60), 24);
    this.grid.element.style.setProperty("--least", `${least}px`);
    this.grid.setColumns(columns);
  }

  showBuckets() {
    const family = /** @type {Family} */ (this.family);
    const { distribution, isLately } = this.observed();
    if (!distribution) return this.panel.replaceChildren();
    const bars = barsOf(distribution, this.isClassic, 1000).filter(({ count }) => count > 0 || !distribution.native);
    let below = 0;
    const total = bars.reduce((sum, { count }) => sum + count, 0);
    const scroll = this.panel.firstElementChild?.scrollTop ?? 0;
    const highest = Math.max(...bars.map(({ count }) => count), 1);
    this.panel.replaceChildren(plainTable(`Buckets, ${isLately ? "last minute" : "since start"}`, ["#From", "#To", "#Count", "Share", "#Cumulative"], bars.map(({ from, to, count }) => {
      below += count;
      const bound = (/** @type {number} */ value) => h("span", { title: exactNumber(value) }, human(value, family.unit));
      return [bound(from), bound(to), human(count), h("span.share", null, meter(count / highest), total ? humanPart(count / total) : ""), total ? humanPart(below / total) : ""];
    }), 1000));
    if (this.panel.firstElementChild) this.panel.firstElementChild.scrollTop = scroll;
  }

  async showCardinality() {
    const family = /** @type {Family} */ (this.family);
    const number = ++this.counting;
    this.panel.replaceChildren(h("p.quiet", null, "Counting…"));
    const counts = await cardinalityOf(family.series, () => number === this.counting && this.tab === "cardinality");
    if (!counts || number !== this.counting || this.tab !== "cardinality") return;
    const total = family.series.length;
    const [worst] = counts;
    const isWorst = worst && worst.values > 1 && total / worst.without >= 1.5;
    const verdict = !worst ? "No labels." : isWorst ? ["Label ", h("code", null, worst.label), ` is what multiplies the series most: without it there would be ${grouped(worst.without)} in place of ${grouped(total)}.`] : ["No label multiplies the series much."];
    this.panel.replaceChildren(h("p.verdict", null, ...[verdict].flat(), family.isCut ? " Of the series that were read." : ""), plainTable("Cardinality by label", ["Label", "#Values", "#Series without it", "Multiplies by", "Most frequent values"],
      counts.map(({ label, values, without, top }) => [
        h("code", null, label), grouped(values), grouped(without), h("span.share", null, meter(Math.log2(total / without + 1e-9) / Math.max(1, Math.log2(total))), "×" + significant(total / without)),
        h("span.values", null, ...top.map(([value, count]) => h("button.plain.value-button", { type: "button", title: "Show these series", onclick: () => this.filterBy(label, value) }, clipped(value, 40) || "∅", h("span.count", null, grouped(count))))),
      ])), h("p.quiet", null, h("button.small", { type: "button", onclick: () => this.showCardinality() }, "Count again")));
  }

  /** @param {string} label @param {string} value */
  filterBy(label, value) {
    this.tab = "series";
    this.filter.value = `${label}=${value}`.slice(0, 200);
    this.words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.update();
    this.filter.focus();
  }

  showExemplars() {
    const family = /** @type {Family} */ (this.family);
    const found = /** @type {{exemplar: Exemplar, series: Series}[]} */ ([]);
    for (const series of this.series ? [this.series] : family.series) for (const exemplar of series.metric?.exemplars ?? []) found.push({ exemplar, series });
    found.sort((a, b) => (b.exemplar.at ?? 0) - (a.exemplar.at ?? 0));
    const shown = found.slice(0, 100);
    const signature = JSON.stringify(shown.map(({ exemplar, series }) => [exemplar, series.key]));
    if (this.panel.dataset.exemplars === signature && this.panel.firstElementChild) return;
    this.panel.dataset.exemplars = signature;
    this.panel.replaceChildren(plainTable("Exemplars", ["#Value", "Labels of the exemplar", "When", "Series"], shown.map(({ exemplar, series }) => [
      h("span", { title: exactNumber(exemplar.value) }, human(exemplar.value, family.unit)),
      h("span.values", null, ...exemplar.labels.map(([name, value]) => h("span", null, h("code", null, `${clipped(name, 60)}=${clipped(value, 160)}`), " ", copyButton("Copy", () => value, name)))),
      exemplar.at === null ? "" : h("span", { title: dateText(exemplar.at) }, dateText(exemplar.at).slice(11)),
      h("code", null, labelText(series.labels)),
    ])));
  }
}
