"use strict";
// The families on the left: grouped by the first part of their names, searched, filtered by type, and sorted.

/** @typedef {{group: string, families: Family[], series: number}} Group */

const TYPE_NAMES = { counter: "counter", gauge: "gauge", histogram: "histogram", gaugehistogram: "gauge hist.", summary: "summary", info: "info", stateset: "states", unknown: "unknown" };

/** @param {string} type @returns {HTMLElement} */
function typeTag(type) {
  const known = Object.hasOwn(TYPE_NAMES, type);
  return h("span.type", { "data-type": known ? type : "unknown" }, known ? TYPE_NAMES[/** @type {keyof typeof TYPE_NAMES} */ (type)] : clipped(type, 20));
}

/** The labels of a series as a short text. @param {[string, string][]} labels */
function labelText(labels) {
  return labels.map(([name, value]) => `${name}=${clipped(value, 80)}`).join("  ");
}

/**
 * What the list shows of a family's numbers: a text, where it comes from, and the exact number.
 * @param {Family} family @returns {{text: string, note: string}}
 */
function summaryOf(family) {
  const { series, type, unit } = family;
  if (!family.reading) return { text: family.count === 0 ? "no series" : "", note: family.size > AUTOMATIC_SERIES ? "Large: read when it is opened." : "" };
  if (!series.length) return { text: "no series", note: "" };
  if (type === "info") return { text: clipped(labelText(series[0].labels), 60), note: series.map((each) => labelText(each.labels)).slice(0, 5).join("\n") };
  if (type === "stateset") {
    const active = series.filter(({ value }) => value === 1);
    const states = [...new Set(active.map((each) => each.label(family.name) || labelText(each.labels)))];
    return { text: clipped(states.slice(0, 3).join(", ") || "none active", 40), note: counted(active.length, "active state") };
  }
  if (family.isDistribution) {
    const recent = family.lately();
    const shown = recent ?? family.sum;
    const p95 = shown && type !== "summary" ? quantileOf(0.95, shown) : NaN;
    const when = recent ? "in the last minute" : "since the start";
    if (!Number.isNaN(p95)) return { text: `p95 ${human(p95, unit)}`, note: `95 % of the observations ${when} are at most ${exactNumber(p95)}` };
    if (shown?.count) return { text: `avg ${human(shown.sum / shown.count, unit)}`, note: `Average of the observations ${when}: ${exactNumber(shown.sum / shown.count)}` };
    return { text: "no data", note: "No observations" };
  }
  if (unit === "date" && !showExact) return { text: ago(family.most), note: `${series.length > 1 ? "The latest: " : ""}${dateText(family.most)}, ${exactNumber(family.most)}` };
  if (type === "counter" || series.length === 1) return { text: human(family.total, unit), note: exactNumber(family.total) + (series.length > 1 ? " in all series" : "") };
  return { text: `max ${human(family.most, unit)}`, note: `From ${exactNumber(family.least)} to ${exactNumber(family.most)}, in ${counted(series.length, "series", "series")}` };
}

/** @param {Family} a @param {Family} b */
function byName(a, b) {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

class FamilyList {
  /** @param {{open: (family: Family) => void, wanted: () => void, matches: (text: string) => void}} page */
  constructor(page) {
    this.page = page;
    this.families = /** @type {Family[]} */ ([]);
    this.matching = /** @type {Family[]} */ ([]);
    this.words = /** @type {string[]} */ ([]);
    this.types = /** @type {Set<string>} */ (new Set());
    this.sort = "name";
    this.isReversed = false;
    this.closed = /** @type {Set<string>} */ (new Set());
    this.opened = /** @type {Family | null} */ (null);
    this.sortedAt = 0;
    this.grid = /** @type {Grid<Family | Group>} */ (new Grid({
      label: "Metric families", id: "list", rowHeight: 40, role: "treegrid",
      open: (item) => ("group" in item ? this.toggle(item) : page.open(item)),
      sort: (column) => this.sortBy(column, column === this.sort && !this.isReversed),
      scrolled: () => page.wanted(),
      row: (row, item) => {
        const isGroup = "group" in item;
        row.classList.toggle("group", isGroup);
        row.classList.toggle("open", item === this.opened);
        setAttribute(row, "aria-level", isGroup || this.sort !== "name" ? "1" : "2");
        setAttribute(row, "aria-expanded", isGroup ? String(!this.closed.has(item.group)) : null);
        setAttribute(row, "aria-selected", isGroup ? null : String(item === this.opened));
        return isGroup;
      },
      key: (event, item) => {
        if (!item || !["ArrowLeft", "ArrowRight"].includes(event.key)) return false;
        const group = "group" in item ? item : this.grid.items.find((each) => "group" in each && each.families.includes(item));
        if (group && "group" in group && this.closed.has(group.group) === (event.key === "ArrowRight")) {
          this.toggle(group);
          this.grid.activate(this.grid.items.findIndex((each) => "group" in each && each.group === group.group));
        }
        return true;
      },
    }));
    this.grid.setColumns(this.columns());
  }

  /** @returns {Column<Family | Group>[]} */
  columns() {
    return [
      {
        id: "name", title: "Name", width: "minmax(0, 1fr)", className: "name", sortable: true,
        create: (cell) => {
          const name = h("span.family-name"), type = h("span"), help = h("span.family-help");
          cell.append(name, h("span.second", null, type, " ", help));
          return { name, type, help };
        },
        render: (cell, item, { name, type, help }) => {
          if ("group" in item) {
            setText(name, item.group || "other");
            type.replaceChildren();
            setText(help, `${counted(item.families.length, "family", "families")}, ${counted(item.series, "series", "series")}`);
            setAttribute(cell, "title", null);
          } else {
            setMarked(name, item.name, this.words);
            if (type.firstElementChild?.getAttribute("data-type") !== item.type) type.replaceChildren(typeTag(item.type));
            setText(help, clipped(item.help, 160));
            setAttribute(cell, "title", clipped(item.help ? `${item.name}\n${item.help}` : item.name, 600));
          }
        },
      },
      { id: "series", title: "Series", width: "54px", className: "number", sortable: true, render: (cell, item) => {
        const family = /** @type {Family} */ (item);
        setText(cell, family.count === null && !family.reading ? "" : human(family.size));
      } },
      { id: "rate", title: "Now, rate", width: "112px", className: "number", sortable: true, help: "The number now, and its increase a second over the last 10 seconds",
        create: (cell) => {
          const value = h("span.value"), rate = h("span.second");
          cell.append(value, rate);
          return { value, rate };
        },
        render: (cell, item, { value, rate }) => {
          const family = /** @type {Family} */ (item);
          const { text, note } = summaryOf(family);
          setText(value, text);
          setAttribute(cell, "title", note || null);
          value.classList.toggle("stale", family.isAbsent);
          const speed = family.rate;
          setText(rate, Number.isNaN(speed) ? "" : humanRate(speed, family.isDistribution ? "" : family.unit));
        } },
      { id: "change", title: "Change", width: "66px", className: "number only-wide", sortable: true, help: "Against a minute ago; of what only grows, of its rate", render: (cell, item) => {
        const { change } = /** @type {Family} */ (item);
        setText(cell, change ? humanChange(change) : "");
        setAttribute(cell, "data-heat", !change ? null : Math.abs(change) >= 1 ? "3" : Math.abs(change) >= 0.2 ? "2" : "1");
      } },
      { id: "trend", title: "Trend", width: `${SPARK_WIDTH + 8}px`, className: "trend", create: (cell) => {
        const spark = sparkline();
        cell.append(spark.element);
        return spark;
      }, render: (_, item, spark) => spark.show(item, /** @type {Family} */ (item).reading, () => /** @type {Family} */ (item).points()) },
    ];
  }

  /** @param {Family[]} families */
  setFamilies(families) {
    // Sorted once; a search keeps the order.
    this.families = families.sort(byName);
    const counts = new Map();
    for (const { type } of families) counts.set(type, (counts.get(type) ?? 0) + 1);
    for (const type of this.types) if (!counts.has(type)) this.types.delete(type);
    const order = Object.keys(TYPE_NAMES);
    const sorted = [...counts].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)).slice(0, 12);
    const box = byId("types");
    const signature = JSON.stringify(sorted);
    if (box.dataset.shown !== signature) {
      box.dataset.shown = signature;
      box.replaceChildren(...sorted.map(([type, count]) => h("button.type-filter", {
        type: "button", "aria-pressed": this.types.has(type), "data-type": type, onclick: (/** @type {MouseEvent} */ event) => {
          const isOn = !this.types.delete(type) && this.types.add(type);
          /** @type {Element} */ (event.currentTarget).setAttribute("aria-pressed", String(Boolean(isOn)));
          this.refresh(true);
        } }, typeTag(type), h("span.count", null, grouped(count)))));
    }
    this.refresh(false);
  }

  /** @param {string} query */
  search(query) {
    this.words = query.toLowerCase().split(/\s+/).filter(Boolean).slice(0, 10);
    this.refresh(true);
  }

  /** @param {string} column @param {boolean} [isReversed] */
  sortBy(column, isReversed = false) {
    this.sort = column;
    this.isReversed = isReversed;
    byId("sort").value = column;
    this.refresh(true);
    this.page.wanted();
  }

  /** @param {Group} group */
  toggle(group) {
    if (!this.closed.delete(group.group)) this.closed.add(group.group);
    this.refresh(false);
    this.page.wanted();
  }

  /** Find, sort and group again. @param {boolean} isAsked whether the user changed something */
  refresh(isAsked) {
    const { words, types, sort } = this;
    this.matching = this.families.filter((family) => (!types.size || types.has(family.type)) && words.every((word) => family.haystack.includes(word)));
    this.sortedAt = performance.now();
    let items = /** @type {(Family | Group)[]} */ ([]);
    if (sort === "name") {
      if (this.isReversed) this.matching.reverse();
      items = this.grouped();
    } else {
      // Each key is computed once. What is not known comes last.
      const keys = new Map(this.matching.map((family) => {
        const key = sort === "series" ? family.size : sort === "rate" ? family.rate : family.reading > 1 ? Math.abs(family.change) : NaN;
        return [family, Number.isNaN(key) ? -1 : key];
      }));
      const sign = this.isReversed ? -1 : 1;
      const key = (/** @type {Family} */ family) => /** @type {number} */ (keys.get(family));
      items = this.matching.sort((a, b) => (key(a) < 0 || key(b) < 0 ? key(b) - key(a) : sign * (key(b) - key(a))) || byName(a, b));
    }
    this.grid.setSorted(sort, sort === "name" ? this.isReversed : !this.isReversed);
    this.grid.setItems(items);
    const total = this.families.length;
    const series = this.matching.reduce((sum, family) => sum + family.size, 0);
    let text = this.matching.length === total ? `${counted(total, "family", "families")}, ${counted(series, "series", "series")}` : `${grouped(this.matching.length)} of ${counted(total, "family", "families")} match`;
    if (sort === "rate" || sort === "change") {
      const known = this.matching.filter((family) => family.reading > 1).length;
      if (known < this.matching.length) text += `; ${grouped(known)} read`;
    }
    if (this.text !== text) this.page.matches(text);
    this.text = text;
    if (isAsked) this.page.wanted();
  }

  /** The families with a heading before each group, unless there would be one group alone. */
  grouped() {
    // Where all begin alike, as with a registry's prefix, by the part after it.
    const part = this.families.length > 1 && this.families.every(({ groups }) => groups[0] === this.families[0].groups[0]) ? 1 : 0;
    const groups = /** @type {Map<string, Group>} */ (new Map());
    const sizes = new Map();
    for (const { groups: own } of this.families) sizes.set(own[part], (sizes.get(own[part]) ?? 0) + 1);
    const alone = /** @type {Group} */ ({ group: "", families: [], series: 0 }); // those whose group would have one family
    for (const family of this.matching) {
      const own = family.groups[part];
      const name = sizes.get(own) > 1 ? own : "";
      let group = name ? groups.get(name) : alone;
      if (!group) groups.set(name, group = { group: name, families: [], series: 0 });
      group.families.push(family);
      group.series += family.size;
    }
    if (alone.families.length) groups.set("", alone);
    // The same object for the same group, so that it stays the active row.
    for (const item of this.grid.items) {
      const group = "group" in item && groups.get(item.group);
      if (group && "group" in item) groups.set(item.group, Object.assign(item, group));
    }
    if (groups.size < 2) return this.matching;
    const items = /** @type {(Family | Group)[]} */ ([]);
    for (const group of groups.values()) {
      items.push(group);
      if (!this.closed.has(group.group) || this.words.length) items.push(...group.families);
    }
    return items;
  }

  /** New numbers came. */
  update() {
    if ((this.sort === "rate" || this.sort === "change") && performance.now() - this.sortedAt > 3000) this.refresh(false);
    else this.grid.render();
  }

  /** @returns {Family[]} */
  shown() {
    return /** @type {Family[]} */ (this.grid.visible().filter((item) => !("group" in item)));
  }

  /** Those that are needed to sort, though they are not on screen. */
  background() {
    return this.sort === "rate" || this.sort === "change" ? this.matching : [];
  }

  /** @param {Family | null} family */
  setOpened(family) {
    this.opened = family;
    const index = family ? this.grid.items.indexOf(family) : -1;
    if (index >= 0 && index !== this.grid.active) this.grid.activate(index);
    else this.grid.render();
  }
}
