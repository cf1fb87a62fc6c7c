"use strict";
// The page: puts the parts together, and keeps the address, the settings and the keys.
//
// The fragment of the address holds what is looked at: #family=NAME&q=WORDS&sort=COLUMN. It is only compared with names
// that the server told, and shown as text.

const KEYS = [
  ["/", "Search"], ["j k, arrows", "Next and previous row"], ["Enter", "Open the row"], ["← →", "Close and open a group"],
  ["Esc", "Leave the search, the series, the details"], ["s", "To the series of the family"], ["c", "Copy the PromQL expression"], ["g", "Overview"], ["o", "Next order of the families"],
  ["p", "Pause and resume"], ["x", "Exact or rounded numbers"], ["t", "Colours"], ["?", "This help"],
];

const THEMES = ["auto", "light", "dark"];

const page = {
  families: /** @type {Map<string, Family>} */ (new Map()),
  data: /** @type {any} */ (null),
  dataAt: 0,
  asked: "", // the family of the address, until it is known
  state: /** @type {PollState | null} */ (null),
  restarted: false,
  since: Date.now() / 1000,
  pids: new Set(), // of the processes that answered
  isMixed: false, // whether they take turns
};

const detail = new Detail({ close: () => openFamily(null), selected: () => undefined, readOnce: (family) => poller.readOnce(family) });
const overview = new Overview((family) => openFamily(family));
const list = new FamilyList({ open: (family) => openFamily(family), wanted: () => later(), matches: (text) => setText(byId("matches"), text) });
const poller = new Poller({
  overview: takeOverview,
  wanted: () => ({ opened: detail.family, shown: isListShown() ? list.shown() : [], background: list.background() }),
  numbers: takeNumbers,
  state: showState,
});

/** Whether the list is on screen; on a narrow one, details cover it. */
function isListShown() {
  return list.grid.element.clientHeight > 0;
}

let lateTimer = 0;

/** Ask for what came on screen, once scrolling has come to rest. */
function later() {
  clearTimeout(lateTimer);
  lateTimer = setTimeout(() => poller.now(), 150);
}

// What the server tells -------------------------------------------------------------------------------------------------

/** Take an overview, a few families at a time. @param {any} data */
async function takeOverview(data) {
  const before = page.data, started = Date.now() / 1000 - data.uptime_seconds;
  const isOther = before && before.pid !== data.pid;
  // Several processes behind one address take turns; a new one began after the page.
  if (isOther && page.pids.has(data.pid) && !entriesOf(data.processes).length) page.isMixed = true;
  if (isOther ? !page.pids.has(data.pid) && started > page.since : before && data.uptime_seconds < before.uptime_seconds) {
    page.restarted = true;
    announce("The process was restarted.");
    setTimeout(() => { page.restarted = false; showState(page.state); }, 30000);
  }
  if (page.pids.size < 1000) page.pids.add(data.pid);
  if (page.isMixed) data.warnings = [...(Array.isArray(data.warnings) ? data.warnings : []), `Several processes answer at this address in turn, such as ${[...page.pids].slice(-4).map(inWords).join(", ")}, each with numbers of its own. A registry for several processes would show their sums.`];
  const names = new Set();
  let isNew = !page.data, since = performance.now();
  for (const each of entriesOf(data.families)) {
    if (typeof each.name !== "string" || !each.name || names.has(each.name)) continue;
    names.add(each.name);
    const known = page.families.get(each.name);
    if (!known) page.families.set(each.name, new Family(each));
    isNew = (known ? known.update(each) : true) || isNew;
    if (performance.now() - since > SLICE_MS) {
      await pause();
      since = performance.now();
    }
  }
  for (const name of page.families.keys()) {
    page.families.get(name)?.rest(since / 1000);
    if (!names.has(name) && name !== detail.family?.name) isNew = page.families.delete(name) || isNew;
  }
  await pause();
  page.data = data;
  page.dataAt = performance.now();
  if (isNew) list.setFamilies([...page.families.values()]);
  if (page.asked) openAsked();
  await pause();
  overview.show(data, list.families, 0);
}

/** @param {Family[]} families */
function takeNumbers(families) {
  list.update();
  if (detail.family && families.includes(detail.family)) detail.update();
}

const STATES = {
  offline: "No connection", slow: "No response in time", denied: "Not signed in", busy: "The server is busy", status: "The server failed", long: "The server refused the request", content: "Unexpected response",
};

/** @param {PollState | null} state */
function showState(state) {
  if (!state) return;
  const { error } = state;
  const before = page.state?.error?.kind;
  page.state = state;
  const wait = Math.max(0, Math.round((state.retryAt - performance.now()) / 1000));
  let kind = "live", text = "Live";
  if (error) {
    kind = "bad";
    text = STATES[/** @type {keyof typeof STATES} */ (error.kind)] ?? "Failed";
    text += state.isPaused ? "; paused" : wait ? `; retry in ${wait} s` : "; retrying";
  } else if (state.isPaused) [kind, text] = ["paused", "Paused"];
  else if (state.took >= SLOW_MS) [kind, text] = ["slow", `Slow: ${human(state.took / 1000, "seconds")}${poller.isBusy ? " and more" : ""}`];
  else if (page.restarted) text = "Live; restarted";
  byId("state").dataset.state = kind;
  setText(byId("state-text"), text);
  byId("retry").hidden = !error;
  const banner = byId("banner");
  banner.hidden = !error;
  if (error) {
    const advice = { offline: "The numbers below are the last ones.", slow: "The numbers below are the last ones.", denied: "Load the page again to sign in.", busy: "", status: "", content: "Something between this page and the server may have changed it." }[error.kind] ?? "";
    setText(banner, [text.split(";")[0] + ".", error.kind === "offline" ? "" : error.message, advice].filter(Boolean).join(" "));
  }
  if (before !== error?.kind) announce(error ? text.split(";")[0] : before ? "Connected again." : "");
  document.documentElement.classList.toggle("disconnected", Boolean(error));
}

// Navigation ------------------------------------------------------------------------------------------------------------

function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1, 4000));
  page.asked = parameters.get("family") ?? "";
  const query = (parameters.get("q") ?? "").slice(0, 200);
  if (byId("search").value !== query) {
    byId("search").value = query;
    list.search(query);
  }
  const sort = parameters.get("sort") ?? "name";
  if (["name", "series", "rate", "change"].includes(sort) && sort !== list.sort) list.sortBy(sort);
  if (page.data || !page.asked) openAsked();
}

function openAsked() {
  const name = page.asked;
  page.asked = "";
  const family = page.families.get(name) ?? null;
  if (family !== detail.family || !name) showFamily(family);
  if (name && !family) {
    byId("detail").replaceChildren(h("div.overview", null, h("p.note", { role: "status" }, "There is no family ", h("code", null, clipped(name, 200)), " here. It may come later, or have another name.")), overview.element);
  }
}

/** @param {boolean} isStep whether it is a step that "back" undoes */
function writeAddress(isStep) {
  const parameters = new URLSearchParams();
  if (detail.family) parameters.set("family", toWellFormed(detail.family.name));
  if (byId("search").value) parameters.set("q", byId("search").value);
  if (list.sort !== "name") parameters.set("sort", list.sort);
  const text = parameters.toString();
  const address = text ? "#" + text : location.pathname + location.search;
  if (isStep) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/** @param {string} text */
function toWellFormed(text) {
  return text.toWellFormed?.() ?? text;
}

/** Open a family, or the overview. @param {Family | null} family */
function openFamily(family) {
  if (family === detail.family) {
    if (family) detail.title.focus({ preventScroll: true });
    else document.body.classList.toggle("shows-overview"); // on a narrow screen, where the list covers it
    return;
  }
  const before = detail.family;
  showFamily(family);
  writeAddress(true);
  if (family) {
    if (!isListShown()) detail.title.focus({ preventScroll: true });
    announce(`${family.name} opened`);
  } else if (before) list.grid.element.focus({ preventScroll: true });
}

/** @param {Family | null} family */
function showFamily(family) {
  const host = byId("detail");
  document.body.classList.toggle("has-detail", family !== null);
  document.body.classList.remove("shows-overview");
  if (family) {
    if (!host.contains(detail.element)) host.replaceChildren(detail.element);
    detail.show(family);
    if (family.size > AUTOMATIC_SERIES) poller.readOnce(family);
    else {
      family.dueAt = 0;
      poller.now();
    }
  } else {
    detail.close();
    host.replaceChildren(overview.element);
    overview.show(page.data, list.families, (performance.now() - page.dataAt) / 1000);
  }
  document.title = family ? `${clipped(family.name, 80)} – Metrics` : "Metrics";
  list.setOpened(family);
}

// Settings --------------------------------------------------------------------------------------------------------------

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  setText(byId("theme"), { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[theme] ?? "Theme");
  kept.set("theme", theme);
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length]);
}

function togglePause() {
  poller.setPaused(!poller.isPaused);
  byId("pause").setAttribute("aria-pressed", String(poller.isPaused));
  setText(byId("pause"), poller.isPaused ? "Resume" : "Pause");
  announce(poller.isPaused ? "Paused" : "Resumed");
}

function toggleExact() {
  showExact = !showExact;
  byId("exact").setAttribute("aria-pressed", String(showExact));
  kept.set("exact", showExact ? "1" : "");
  list.grid.render();
  detail.update(true);
}

function showKeys() {
  const dialog = byId("keys");
  if (!dialog.childElementCount) {
    dialog.append(h("h2", { id: "keys-title" }, "Keys"), h("dl.keys", null, ...KEYS.map(([key, effect]) => h("div", null, h("dt", null, ...key.split(" ").flatMap((each, place) => [place ? " " : "", h("kbd", null, each.replace(",", ""))])), h("dd", null, effect)))),
      h("p.quiet", null, "Rates are over the last 10 s, and resets of counters are left out. Quantiles are interpolated as histogram_quantile() does it."),
      h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close"));
  }
  if (!dialog.open) dialog.showModal();
}

/** @param {KeyboardEvent} event */
function keyed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const isTyping = target.matches("input, textarea, select, [contenteditable]");
  const search = byId("search");
  if (event.key === "Escape") {
    if (target === search) {
      if (search.value) setSearch("");
      else list.grid.element.focus();
    } else if (target === detail.filter) {
      if (detail.filter.value) {
        detail.filter.value = "";
        detail.words = [];
        detail.list();
      } else detail.grid.element.focus();
    } else if (detail.series) detail.select(null);
    else if (detail.family) openFamily(null);
    else if (search.value) setSearch("");
    else return;
    event.preventDefault();
    return;
  }
  if (isTyping) {
    if (target === search && (event.key === "ArrowDown" || event.key === "Enter")) {
      list.grid.element.focus();
      if (list.grid.active < 0 || event.key === "Enter") list.grid.activate(list.grid.items.findIndex((item) => !("group" in item)));
      if (event.key === "Enter") {
        const item = list.grid.items[list.grid.active];
        if (item && !("group" in item)) openFamily(item);
      }
      event.preventDefault();
    }
    return;
  }
  const acts = /** @type {Record<string, () => void>} */ ({
    "/": () => { search.focus(); search.select(); },
    "?": showKeys, p: togglePause, t: nextTheme, x: toggleExact,
    g: () => openFamily(null),
    o: () => list.sortBy({ name: "series", series: "rate", rate: "change" }[list.sort] ?? "name"),
    c: () => detail.family && copy(promqlOf(detail.family, detail.series && detail.series.labels), "PromQL expression"),
    s: () => { if (detail.family) { if (detail.tab !== "series") detail.openTab("series"); detail.grid.element.focus(); if (detail.grid.active < 0) detail.grid.activate(0); } },
    j: () => { list.grid.element.focus(); list.grid.move(1); }, k: () => { list.grid.element.focus(); list.grid.move(-1); },
  });
  acts.ArrowDown = acts.j;
  acts.ArrowUp = acts.k;
  const isRow = event.key.startsWith("Arrow") && target !== document.body;
  if (!Object.hasOwn(acts, event.key) || isRow) return;
  acts[event.key]();
  event.preventDefault();
}

/** @param {string} query */
function setSearch(query) {
  byId("search").value = query;
  list.search(query);
  writeAddress(false);
}

function start() {
  setTheme(THEMES.includes(kept.get("theme") ?? "") ? String(kept.get("theme")) : "auto");
  if (kept.get("exact")) toggleExact();
  setText(byId("where"), location.host);
  byId("families").append(list.grid.element);
  byId("detail").append(overview.element);
  byId("tools").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  let searching = 0, writing = 0;
  byId("search").addEventListener("input", () => {
    cancelAnimationFrame(searching);
    searching = requestAnimationFrame(() => {
      list.search(byId("search").value);
      clearTimeout(writing);
      writing = setTimeout(() => writeAddress(false), 300);
    });
  });
  byId("sort").addEventListener("change", () => { list.sortBy(byId("sort").value); writeAddress(false); });
  byId("pause").addEventListener("click", togglePause);
  byId("exact").addEventListener("click", toggleExact);
  byId("theme").addEventListener("click", nextTheme);
  byId("help").addEventListener("click", showKeys);
  byId("home").addEventListener("click", () => openFamily(null));
  byId("retry").addEventListener("click", () => poller.retry());
  const interval = byId("interval");
  const seconds = kept.get("interval") ?? "1";
  if ([...interval.options].some(({ value }) => value === seconds)) interval.value = seconds;
  const setInterval_ = () => { poller.interval = Number(interval.value) * 1000; };
  setInterval_();
  interval.addEventListener("change", () => { setInterval_(); kept.set("interval", interval.value); poller.now(); });
  addEventListener("keydown", keyed);
  addEventListener("hashchange", readAddress);
  addEventListener("popstate", readAddress);
  // The countdown of a retry, and the time that the process is up.
  setInterval(() => {
    if (document.hidden) return;
    if (page.state?.error) showState(page.state);
    if (!detail.family) overview.show(page.data, list.families, (performance.now() - page.dataAt) / 1000);
  }, 1000);
  readAddress();
  poller.schedule(0);
}

// After the first paint, which shows the empty page at once.
if (document.hidden) start();
else requestAnimationFrame(() => setTimeout(start));
