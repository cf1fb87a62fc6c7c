"use strict";
// A table of many rows of which only those on screen are elements. For assistive technology it is a grid with all its
// rows: aria-rowcount, aria-rowindex, and one active row, which the keys move.

/**
 * @template T
 * @typedef {{id: string, title: string, width: string, className?: string, help?: string, sortable?: boolean,
 *   create?: (cell: HTMLElement) => any, render: (cell: HTMLElement, item: T, made: any) => void}} Column
 */

/** @template T */
class Grid {
  /**
   * @param {{label: string, id: string, rowHeight: number, role?: "grid" | "treegrid", open: (item: T) => void, sort?: (column: string) => void,
   *   moved?: (item: T) => void, scrolled?: () => void, row?: (row: HTMLElement, item: T) => boolean | void, key?: (event: KeyboardEvent, item: T | undefined) => boolean}} options
   *   `row` dresses a row before its cells, and returns whether it has only the first cell, across all columns
   */
  constructor(options) {
    this.options = options;
    this.items = /** @type {T[]} */ ([]);
    this.columns = /** @type {Column<T>[]} */ ([]);
    this.active = -1;
    this.rows = /** @type {Map<number, any>} */ (new Map());
    this.spare = /** @type {any[]} */ ([]);
    this.head = h("div.grid-head", { role: "row", "aria-rowindex": 1 });
    this.body = h("div.grid-body", { role: "rowgroup" });
    this.element = h("div.grid", { role: options.role ?? "grid", tabindex: 0, "aria-label": options.label, id: options.id, onscroll: () => this.later(), onkeydown: (/** @type {KeyboardEvent} */ event) => this.keyed(event) },
      h("div", { role: "rowgroup" }, this.head), this.body);
    this.body.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const row = /** @type {Element} */ (event.target).closest("[role=row]");
      if (!row || String(getSelection() ?? "")) return;
      const index = Number(row.getAttribute("aria-rowindex")) - 2;
      this.activate(index, false);
      if (this.items[index] !== undefined) this.options.open(this.items[index]);
    });
    this.isLate = false;
    new ResizeObserver(() => this.render()).observe(this.element);
  }

  /** @param {Column<T>[]} columns */
  setColumns(columns) {
    this.columns = columns;
    this.body.replaceChildren();
    this.rows.clear();
    this.spare = [];
    this.element.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
    this.element.setAttribute("aria-colcount", columns.length);
    this.head.replaceChildren(...columns.map((column) => h("div", { role: "columnheader", class: column.className, title: column.help, "data-column": column.id },
      column.sortable && this.options.sort ? h("button.plain", { type: "button", tabindex: -1, onclick: () => this.options.sort?.(column.id) }, column.title) : column.title)));
  }

  /** @param {string} column @param {boolean} falling */
  setSorted(column, falling) {
    for (const head of this.head.children) setAttribute(head, "aria-sort", head.getAttribute("data-column") === column ? (falling ? "descending" : "ascending") : null);
  }

  /** @param {T[]} items @param {boolean} [keep] whether the same item stays active, wherever it is now */
  setItems(items, keep = true) {
    const active = this.items[this.active];
    this.items = items;
    if (keep && active !== undefined && items[this.active] !== active) this.active = items.indexOf(active);
    else if (!keep || this.active >= items.length) this.active = -1;
    this.element.setAttribute("aria-rowcount", items.length + 1);
    this.body.style.height = `${items.length * this.options.rowHeight}px`;
    this.render();
  }

  /** The items on screen. */
  visible() {
    const { from, to } = this.range(0);
    return this.items.slice(from, to);
  }

  /** @param {number} beyond rows above and below the screen */
  range(beyond) {
    const { rowHeight } = this.options;
    const top = Math.max(0, this.element.scrollTop), height = this.element.clientHeight;
    return { from: Math.max(0, Math.floor(top / rowHeight) - beyond), to: Math.min(this.items.length, Math.ceil((top + height) / rowHeight) + beyond) };
  }

  later() {
    if (this.isLate) return;
    this.isLate = true;
    requestAnimationFrame(() => {
      this.isLate = false;
      this.render();
      this.options.scrolled?.();
    });
  }

  render() {
    if (!this.columns.length) return;
    const { from, to } = this.range(4);
    for (const [index, row] of this.rows) {
      if (index >= from && index < to) continue;
      this.rows.delete(index);
      this.spare.push(row);
    }
    for (let index = from; index < to; index++) {
      let row = this.rows.get(index);
      if (!row) {
        row = this.spare.pop() ?? this.create();
        this.rows.set(index, row);
        row.element.style.transform = `translateY(${index * this.options.rowHeight}px)`;
        row.element.setAttribute("aria-rowindex", index + 2);
        row.element.id = `${this.options.id}-${index}`;
        if (!row.element.isConnected) this.body.append(row.element);
      }
      this.fill(row, this.items[index], index);
    }
    while (this.spare.length > 60) this.spare.pop().element.remove();
    for (const row of this.spare) row.element.hidden = true;
    setAttribute(this.element, "aria-activedescendant", this.rows.has(this.active) ? `${this.options.id}-${this.active}` : null);
  }

  create() {
    const cells = this.columns.map((column, place) => {
      const element = h("div", { role: place ? "gridcell" : "rowheader", class: column.className, "aria-colindex": place + 1 });
      return { element, made: column.create?.(element) };
    });
    return { element: h("div.row", { role: "row" }, ...cells.map(({ element }) => element)), cells };
  }

  /** @param {any} row @param {T} item @param {number} index */
  fill(row, item, index) {
    row.element.hidden = false;
    row.element.classList.toggle("active", index === this.active);
    const isWide = this.options.row?.(row.element, item) === true;
    row.cells.forEach((/** @type {any} */ { element, made }, /** @type {number} */ place) => {
      if (isWide !== row.isWide) {
        element.hidden = isWide && place > 0;
        if (!place) setAttribute(element, "aria-colspan", isWide ? String(this.columns.length) : null);
      }
      if (!isWide || !place) this.columns[place].render(element, item, made);
    });
    row.isWide = isWide;
  }

  /** @param {number} index @param {boolean} [scroll] */
  activate(index, scroll = true) {
    this.active = Math.max(-1, Math.min(index, this.items.length - 1));
    if (scroll && this.active >= 0) {
      const { rowHeight } = this.options;
      const top = this.active * rowHeight, head = this.head.offsetHeight;
      if (top < this.element.scrollTop) this.element.scrollTop = top;
      else if (top + rowHeight + head > this.element.scrollTop + this.element.clientHeight) this.element.scrollTop = top + rowHeight + head - this.element.clientHeight;
    }
    this.render();
    const item = this.items[this.active];
    if (item !== undefined) this.options.moved?.(item);
  }

  /** @param {number} step */
  move(step) {
    this.activate(this.active < 0 ? (step > 0 ? 0 : this.items.length - 1) : Math.max(0, this.active + step));
  }

  /** @param {KeyboardEvent} event */
  keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.element) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.options.rowHeight) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const item = this.items[this.active];
    if (step !== undefined) {
      if (Number.isFinite(step)) this.move(step);
      else this.activate(step < 0 ? 0 : this.items.length - 1);
    } else if (event.key === "Enter" && item !== undefined) this.options.open(item);
    else if (!this.options.key?.(event, item)) return;
    event.preventDefault();
    event.stopPropagation();
  }
}
