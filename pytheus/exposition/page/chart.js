"use strict";
// Sparklines, a chart over time, and a distribution as bars: SVG, whose colours are those of the style sheet.

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/** The path of a line, with a gap wherever a number is missing. @param {[number, number][]} points on screen */
function pathOf(points) {
  let path = "", isDrawing = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) isDrawing = false;
    else {
      path += `${isDrawing ? "L" : "M"}${round(x)} ${round(y)}`;
      isDrawing = true;
    }
  }
  return path;
}

const SPARK_WIDTH = 84, SPARK_HEIGHT = 20, SPARK_SECONDS = 60;

/** A small line of the last minute; without a meaning of its own for a screen reader. */
function sparkline() {
  const line = svg("path.line", null);
  const dot = svg("circle.dot", { r: 1.8, cy: -9 });
  const element = svg("svg.spark", { viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, "aria-hidden": "true", width: SPARK_WIDTH, height: SPARK_HEIGHT }, line, dot);
  let shown = "", subject = /** @type {any} */ (null), drawn = -1;
  return {
    element,
    /** Draw unless this reading of it is drawn. @param {any} of @param {number} reading @param {() => [number, number][]} points */
    show(of, reading, points) {
      if (of === subject && reading === drawn) return;
      [subject, drawn] = [of, reading];
      this.draw(points());
    },
    /** @param {[number, number][]} points */
    draw(points) {
      const last = points[points.length - 1]?.[0] ?? 0;
      const recent = points.filter(([time]) => time >= last - SPARK_SECONDS);
      let least = Infinity, most = -Infinity;
      for (const [, value] of recent) {
        if (value < least) least = value;
        if (value > most) most = value;
      }
      let path = "", x = 0, y = -9;
      if (recent.length > 1 && Number.isFinite(most - least)) {
        const first = recent[0][0], span = Math.max(last - first, 10);
        // A line that hardly moves is flat, and not blown up to the full height.
        const height = Math.max(most - least, Math.abs(most) * 0.01) || 1;
        const base = most === least ? least - height / 2 : least;
        const place = (/** @type {[number, number]} */ [time, value]) => /** @type {[number, number]} */ ([
          SPARK_WIDTH - 3 - ((last - time) / span) * (SPARK_WIDTH - 6), SPARK_HEIGHT - 3 - ((value - base) / height) * (SPARK_HEIGHT - 6),
        ]);
        const places = recent.map(place);
        path = pathOf(places);
        [x, y] = places[places.length - 1];
      }
      if (path === shown) return;
      shown = path;
      line.setAttribute("d", path);
      dot.setAttribute("cx", round(x));
      dot.setAttribute("cy", Number.isFinite(y) ? round(y) : -9);
    },
  };
}

/** Round numbers that divide a range in about `count` parts. @param {number} from @param {number} to @param {number} count @param {boolean} binary */
function ticksOf(from, to, count, binary) {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span)) return [from];
  const base = binary ? 2 ** Math.floor(Math.log2(span / count)) : 10 ** Math.floor(Math.log10(span / count));
  const step = base * (binary ? [1, 2, 4] : [1, 2, 2.5, 5, 10]).find((factor) => span / (base * factor) <= count + 0.5) || base * (binary ? 4 : 10);
  const ticks = [];
  for (let place = Math.ceil(from / step - 1e-9); place * step <= to + step * 1e-9 && ticks.length < 20; place++) ticks.push(place * step);
  return ticks;
}

/** The scale of an axis of time: whole seconds, minutes. @param {number} seconds */
function timeStep(seconds) {
  return [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].find((step) => seconds / step <= 6) ?? 172800;
}

/** A chart over time with axes, and the number below the pointer. */
class TimeChart {
  constructor() {
    this.height = 168;
    this.points = /** @type {[number, number][]} */ ([]);
    this.options = /** @type {{zero: boolean, binary: boolean} | null} */ (null);
    this.format = (/** @type {number} */ value) => human(value);
    this.root = svg("svg.chart", { role: "img", "aria-label": "Chart", height: this.height });
    this.element = h("div.chart-box", { onpointermove: (/** @type {PointerEvent} */ event) => this.point(event.offsetX), onpointerleave: () => this.point(null) }, this.root);
    this.area = svg("path.area", null);
    this.line = svg("path.line", null);
    this.grid = svg("g.grid", null);
    this.cross = svg("g.cross", { hidden: true }, svg("line", null), svg("circle", { r: 3 }));
    this.readout = h("output.readout", { "aria-hidden": "true" });
    this.root.append(this.grid, this.area, this.line, this.cross);
    this.element.append(this.readout);
    this.pointer = /** @type {number | null} */ (null);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /**
   * @param {[number, number][]} points @param {(value: number) => string} format @param {string} label
   * @param {{zero: boolean, binary: boolean}} options whether the axis includes 0, and has steps of powers of two
   */
  show(points, format, label, options) {
    Object.assign(this, { points, format, options });
    setAttribute(this.root, "aria-label", label);
    this.draw();
  }

  draw() {
    const width = this.element.clientWidth, { height, points } = this;
    if (!width || !this.options) return;
    setAttribute(this.root, "width", String(width));
    setAttribute(this.root, "viewBox", `0 0 ${width} ${height}`);
    const finite = points.filter(([, value]) => Number.isFinite(value));
    let least = Infinity, most = -Infinity;
    for (const [, value] of finite) {
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    this.grid.replaceChildren();
    if (!finite.length) {
      this.line.setAttribute("d", "");
      this.area.setAttribute("d", "");
      this.grid.append(svg("text.empty", { x: width / 2, y: height / 2, "text-anchor": "middle" }, points.length ? "No finite values" : "Waiting for a second reading"));
      return;
    }
    if (this.options.zero || (least > 0 && least < most * 0.5)) least = Math.min(0, least);
    if (least === most) [least, most] = most === 0 ? [0, 1] : [Math.min(least, least - Math.abs(least) * 0.1), most + Math.abs(most) * 0.1];
    let ticks = ticksOf(least, most, 4, this.options.binary);
    if (this.options.zero && ticks.length > 1) most = Math.max(most, ticks[ticks.length - 1]);
    const left = 62, right = width - 10, top = 10, bottom = height - 22;
    const last = points[points.length - 1][0];
    const span = Math.max(last - points[0][0], 15);
    const x = (/** @type {number} */ time) => right - ((last - time) / span) * (right - left);
    const y = (/** @type {number} */ value) => bottom - ((value - least) / (most - least || 1)) * (bottom - top);
    this.places = points.map(([time, value]) => /** @type {[number, number]} */ ([x(time), y(value)]));
    for (const tick of ticks) {
      this.grid.append(svg("line", { x1: left, x2: right, y1: round(y(tick)), y2: round(y(tick)) }),
        svg("text", { x: left - 8, y: round(y(tick)) + 3.5, "text-anchor": "end" }, this.format(tick)));
    }
    const step = timeStep(span);
    for (let age = 0; age <= span; age += step) {
      if (x(last - age) < left - 1) break;
      this.grid.append(svg("text", { x: round(x(last - age)), y: height - 5, "text-anchor": age ? "middle" : "end" }, age ? MINUS + human(age, "seconds").replace(NARROW, "\u2009") : "now"));
    }
    const path = pathOf(this.places);
    this.line.setAttribute("d", path);
    const isWhole = path.indexOf("M", 1) < 0;
    const floor = round(y(Math.max(least, Math.min(0, most))));
    const start = this.places.find(([, value]) => Number.isFinite(value));
    this.area.setAttribute("d", isWhole && start && points.length > 1 ? `${path}L${round(right)} ${floor}L${round(start[0])} ${floor}Z` : "");
    this.mark();
  }

  /** @param {number | null} offset */
  point(offset) {
    this.pointer = offset;
    this.mark();
  }

  mark() {
    const { pointer, places, points } = this;
    const isShown = pointer !== null && places?.length;
    setAttribute(this.cross, "hidden", isShown ? null : "");
    if (!isShown) return setText(this.readout, "");
    let nearest = 0;
    places.forEach(([x], place) => { if (Math.abs(x - pointer) < Math.abs(places[nearest][0] - pointer)) nearest = place; });
    const [x, y] = places[nearest];
    const [line, circle] = this.cross.children;
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 10, y2: this.height - 22 })) line.setAttribute(name, round(value));
    circle.setAttribute("cx", round(x));
    circle.setAttribute("cy", Number.isFinite(y) ? round(y) : -9);
    setText(this.readout, `${this.format(points[nearest][1])}  ${human(Math.round(points[points.length - 1][0] - points[nearest][0]), "seconds")} ago`);
  }
}

/** A distribution as bars of equal width, with its quantiles. */
class BarChart {
  constructor() {
    this.height = 168;
    this.root = svg("svg.chart", { role: "img", "aria-label": "Distribution", height: this.height });
    this.readout = h("output.readout", { "aria-hidden": "true" });
    this.element = h("div.chart-box", { onpointermove: (/** @type {PointerEvent} */ event) => this.point(event.offsetX), onpointerleave: () => this.point(null) }, this.root, this.readout);
    this.bars = /** @type {{from: number, to: number, count: number}[]} */ ([]);
    this.marks = /** @type {[string, number][]} */ ([]);
    this.unit = "";
    this.pointer = /** @type {number | null} */ (null);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** @param {{from: number, to: number, count: number}[]} bars @param {[string, number][]} marks quantiles @param {string} unit @param {string} label */
  show(bars, marks, unit, label) {
    Object.assign(this, { bars, marks, unit });
    setAttribute(this.root, "aria-label", label);
    this.draw();
  }

  draw() {
    const width = this.element.clientWidth, { height, bars, unit } = this;
    if (!width) return;
    setAttribute(this.root, "width", String(width));
    setAttribute(this.root, "viewBox", `0 0 ${width} ${height}`);
    this.root.replaceChildren();
    const total = bars.reduce((sum, { count }) => sum + count, 0);
    if (!total) {
      this.root.append(svg("text.empty", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No observations"));
      return;
    }
    const left = 12, right = width - 12, top = 24, bottom = height - 22;
    const each = (right - left) / bars.length;
    const highest = Math.max(...bars.map(({ count }) => count));
    const gap = each > 6 ? Math.min(3, each * 0.15) : each > 2 ? 1 : 0;
    this.left = left;
    this.each = each;
    let free = -Infinity;
    bars.forEach(({ from, to, count }, place) => {
      const size = count ? Math.max(2, (count / highest) * (bottom - top)) : 0;
      const x = left + place * each;
      if (count) this.root.append(svg("rect.bar", { x: round(x + gap / 2), y: round(bottom - size), width: Math.max(0.5, round(each - gap)), height: round(size), rx: each > 8 ? 2 : 0 }));
      // Each bound is written below the end of its bucket, if there is space.
      const text = to === Infinity ? "∞" : human(to, unit);
      const half = text.length * 3.3 + 4, middle = Math.max(half, Math.min(x + each, right - half + 8));
      if (middle - half > free) {
        this.root.append(svg("text", { x: round(middle), y: height - 6, "text-anchor": "middle" }, text));
        free = middle + half;
      }
      void from;
    });
    this.root.append(svg("line.axis", { x1: left, x2: right, y1: bottom + 0.5, y2: bottom + 0.5 }));
    let taken = -Infinity;
    for (const [name, value] of this.marks) {
      const x = this.placeOf(value);
      if (x === null) continue;
      this.root.append(svg("line.mark", { x1: round(x), x2: round(x), y1: top - 8, y2: bottom }));
      if (x - taken < 28) continue;
      taken = x;
      this.root.append(svg("text.mark", { x: round(Math.min(x, right - 10)), y: top - 12, "text-anchor": "middle" }, name));
    }
    this.point(this.pointer);
  }

  /** @param {number} value */
  placeOf(value) {
    const place = this.bars.findIndex(({ to }) => value <= to);
    if (place < 0 || !Number.isFinite(value)) return null;
    const { from, to } = this.bars[place];
    let part = 0.5;
    if (Number.isFinite(to - from)) part = from > 0 && this.isLogarithmic(from, to) ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from);
    return (this.left ?? 0) + (place + Math.min(1, Math.max(0, part))) * (this.each ?? 0);
  }

  isLogarithmic(/** @type {number} */ from, /** @type {number} */ to) {
    return to / from < 4;
  }

  /** @param {number | null} offset */
  point(offset) {
    this.pointer = offset;
    const bar = offset === null || !this.each ? undefined : this.bars[Math.floor((offset - (this.left ?? 0)) / this.each)];
    if (!bar) return setText(this.readout, "");
    const total = this.bars.reduce((sum, { count }) => sum + count, 0);
    setText(this.readout, `${bucketText(bar, this.unit)}  ${human(bar.count)}  ${humanPart(bar.count / total)}`);
  }
}

/** @param {{from: number, to: number}} bucket @param {string} unit */
function bucketText({ from, to }, unit) {
  if (from === -Infinity) return `≤ ${human(to, unit)}`;
  if (to === Infinity) return `> ${human(from, unit)}`;
  return `${human(from, unit)} – ${human(to, unit)}`;
}
