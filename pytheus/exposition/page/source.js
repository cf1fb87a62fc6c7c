"use strict";
// Asks the endpoint that served the page: the overview now and then, and the numbers of the families on screen. One
// request at a time. A failure is told and retried later each time; a hidden tab asks rarely.

const PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8";
const OVERVIEW = "application/vnd.pytheus.overview+json";
const QUERY_CHARACTERS = 3500; // gunicorn takes a first line of 4094, nginx one of 8192
const NAMES_AT_MOST = 100; // in one request; pytheus takes as many
const NAME_CHARACTERS = 512;
const SERIES_OF_A_TICK = 1500; // that the list has read at once
const REQUESTS_OF_A_TICK = 6;
const BYTES_AT_MOST = 32 * 2 ** 20; // of one response
const OVERVIEW_BYTES = 32 * 2 ** 20;
const AUTOMATIC_SERIES = 50000; // a larger family is read when the user asks
const TIMEOUT_MS = 20000;
const SLOW_MS = 2000;
const OVERVIEW_MS = 5000;
const HIDDEN_MS = 30000;
const LONGEST_WAIT_MS = 60000;
const SHARE = 10; // a request that took a second is repeated after ten at the earliest

let queryCharacters = QUERY_CHARACTERS; // less behind a server that takes less

/** What went wrong with a request; `kind` is offline, slow, denied, busy, status, long, content. */
class SourceError extends Error {
  /** @param {string} kind @param {string} message @param {number} [wait] seconds that the server asks for */
  constructor(kind, message, wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait;
  }
}

/** @param {Response} response */
async function refusal(response) {
  let text = "";
  try {
    const reader = response.body?.getReader();
    const first = await reader?.read();
    reader?.cancel().catch(() => undefined);
    if (first?.value) text = clipped(TEXT.decode(first.value.subarray(0, 600)).trim(), 300);
  } catch { /* the status is told in any case */ }
  const asked = Number(response.headers.get("Retry-After"));
  const wait = asked > 0 ? Math.min(asked, 600) : 0;
  if (response.status === 401 || response.status === 403) return new SourceError("denied", text, 30);
  if (response.status === 503 || response.status === 429) return new SourceError("busy", text, wait);
  if ([400, 414, 431].includes(response.status)) return new SourceError("long", `Status ${response.status}${text ? ": " + text : ""}`);
  return new SourceError("status", `Status ${response.status}${text ? ": " + text : ""}`, wait);
}

/** @param {string} query @param {string} accept @param {AbortSignal} signal */
async function ask(query, accept, signal) {
  let response;
  try {
    response = await fetch(location.pathname + query, { headers: { Accept: accept }, cache: "no-store", redirect: "follow", signal });
  } catch (error) {
    if (signal.aborted) throw new SourceError("slow", `No response within ${TIMEOUT_MS / 1000} s.`);
    throw new SourceError("offline", error instanceof Error ? error.message : "");
  }
  if (!response.ok) throw await refusal(response);
  const type = (response.headers.get("Content-Type") ?? "").split(";")[0].trim().toLowerCase();
  if (type !== accept.split(";")[0]) {
    response.body?.cancel().catch(() => undefined);
    throw new SourceError("content", `The response is ${clipped(type || "of no type", 60)}, not ${accept.split(";")[0]}.`);
  }
  if (!response.body) throw new SourceError("content", "The response is empty.");
  return response;
}

/** A bounded body as JSON. @param {Response} response */
async function readJson(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = "", taken = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    taken += value.length;
    if (taken > OVERVIEW_BYTES) {
      reader.cancel().catch(() => undefined);
      throw new SourceError("content", "The overview is too large.");
    }
    text += decoder.decode(value, { stream: true });
  }
  const parsed = JSON.parse(text + decoder.decode());
  if (typeof parsed !== "object" || parsed === null) throw new SourceError("content", "The overview is not an object.");
  return parsed;
}

/** Whether a family can be selected by its name. @param {Family} family */
function isSelectable(family) {
  return family.name.length <= NAME_CHARACTERS && family.query !== null && family.query.length <= QUERY_CHARACTERS;
}

/**
 * Which families to read together: by size, query and number.
 * @param {Family[]} families the most urgent first @param {number} now @param {number} most series @returns {Family[][]}
 */
function batchesOf(families, now, most = SERIES_OF_A_TICK) {
  const batches = /** @type {Family[][]} */ ([]);
  let batch = /** @type {Family[]} */ ([]), characters = 0, series = 0;
  for (const family of families) {
    if (family.dueAt > now || !isSelectable(family)) continue;
    const size = Math.min(family.size, SERIES_AT_MOST);
    if (series && series + size > most) continue;
    series += size;
    const { length } = String(family.query);
    if (batch.length && (characters + length > queryCharacters || batch.length >= NAMES_AT_MOST || size > most)) {
      batches.push(batch);
      batch = [];
      characters = 0;
      if (batches.length >= REQUESTS_OF_A_TICK) return batches;
    }
    batch.push(family);
    characters += length + 1;
  }
  if (batch.length) batches.push(batch);
  return batches;
}

/** Read the numbers of some families. @param {Family[]} families @param {AbortSignal} signal */
async function readNumbers(families, signal) {
  const begun = performance.now();
  const query = "?" + families.map(({ query }) => query).join("&");
  const response = await ask(query, PROTOBUF, signal);
  const time = performance.now() / 1000;
  const byName = new Map(families.map((family) => [family.name, family]));
  let current = /** @type {Family | undefined} */ (undefined);
  const seen = new Set();
  const sink = {
    /** @param {Head} head */
    family(head) {
      current = seen.has(head.name) ? undefined : byName.get(head.name);
      if (!current) return;
      seen.add(head.name);
      current.begin(time);
    },
    /** @param {Metric} metric @param {Uint8Array} bytes */
    metric: (metric, bytes) => !current || current.take(metric, bytes),
    end() {
      current?.end(true);
      current = undefined;
    },
  };
  let isWhole = false;
  try {
    isWhole = await readFamilies(/** @type {ReadableStream<Uint8Array>} */ (response.body), sink, BYTES_AT_MOST);
  } catch (error) {
    if (signal.aborted) throw new SourceError("slow", `The response took more than ${TIMEOUT_MS / 1000} s.`);
    if (error instanceof DecodeError) throw new SourceError("content", `The response cannot be read: ${error.message}.`);
    throw new SourceError("offline", "The response was cut off.");
  }
  if (current && !isWhole) /** @type {Family} */ (current).end(false);
  const took = performance.now() - begun;
  for (const family of families) {
    // What was not reached because another family is too large comes alone next time.
    if (!seen.has(family.name)) family.isAbsent = isWhole;
    // Half a tick early, so that a timer that is late by a little does not skip a turn.
    family.dueAt = performance.now() + Math.max(0, took * Math.min(1, family.size / 100) * SHARE - 500);
  }
  return took;
}

/** Polls until the page ends. */
class Poller {
  /**
   * @param {{overview: (overview: any) => Promise<void>, wanted: () => {opened: Family | null, shown: Family[], background: Family[]},
   *   numbers: (families: Family[]) => void, state: (state: PollState) => void}} page
   */
  constructor(page) {
    this.page = page;
    this.interval = 1000;
    this.isPaused = false;
    this.failures = 0;
    this.took = 0;
    this.overviewDue = 0;
    this.retryAt = 0;
    this.timer = 0;
    this.isBusy = false;
    this.isAgain = false;
    this.hasRead = false; // whether there was an overview
    this.error = /** @type {SourceError | null} */ (null);
    this.once = /** @type {Family | null} */ (null);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.now(); });
    globalThis.addEventListener("online", () => this.retry());
  }

  /** Poll as soon as possible, unless paused or waiting after a failure. */
  now() {
    if (this.isBusy) this.isAgain = true;
    else if (!this.error) this.schedule(0);
  }

  retry() {
    this.retryAt = 0;
    if (!this.isBusy) this.schedule(0);
  }

  /** Read a large family once. @param {Family} family */
  readOnce(family) {
    this.once = family;
    family.dueAt = 0;
    this.now();
  }

  /** @param {boolean} paused */
  setPaused(paused) {
    this.isPaused = paused;
    this.tell();
    if (!paused) this.retry();
  }

  /** @param {number} delay in milliseconds */
  schedule(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tick(), delay);
  }

  tell() {
    this.page.state({ error: this.error, retryAt: this.retryAt, isPaused: this.isPaused, took: this.took, failures: this.failures, isHidden: document.hidden });
  }

  async tick() {
    if (this.isBusy || (this.isPaused && this.hasRead && !this.once)) return;
    if (this.retryAt > performance.now()) return this.schedule(this.retryAt - performance.now());
    this.isBusy = true;
    this.isAgain = false;
    const begun = performance.now();
    // Told while it lasts, because a server that does not answer would leave the page as if all were well.
    const slow = setTimeout(() => { this.took = SLOW_MS; this.tell(); }, SLOW_MS);
    try {
      if (begun >= this.overviewDue) {
        const response = await ask("", OVERVIEW, AbortSignal.timeout(TIMEOUT_MS));
        await this.page.overview(await readJson(response));
        this.hasRead = true;
        this.overviewDue = performance.now() + Math.max(OVERVIEW_MS, (performance.now() - begun) * 2 * SHARE);
        await pause();
      }
      await this.readFamilies();
      this.took = performance.now() - begun;
      this.failures = 0;
      this.retryAt = 0;
      this.error = null;
    } catch (error) {
      this.failures++;
      this.error = error instanceof SourceError ? error : new SourceError("content", clipped(error instanceof Error ? error.message : error, 300));
      const wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(this.failures - 1, 6)) * (0.8 + Math.random() * 0.4);
      this.retryAt = performance.now() + Math.max(wait, this.error.wait * 1000);
      this.overviewDue = 0;
    } finally {
      clearTimeout(slow);
      this.isBusy = false;
    }
    this.tell();
    if (this.error) return this.schedule(this.retryAt - performance.now());
    if (this.isPaused && !this.once) return;
    const rest = Math.max(this.interval - (performance.now() - begun), Math.min(this.took, 1000), 100);
    this.schedule(this.isAgain ? 50 : document.hidden ? Math.max(HIDDEN_MS, rest) : rest);
  }

  async readFamilies() {
    const now = performance.now();
    if (document.hidden && this.overviewDue) return;
    const { opened, shown, background } = this.page.wanted();
    const mayRead = (/** @type {Family} */ family) => family.size <= AUTOMATIC_SERIES && family !== first;
    const first = this.once ?? opened;
    const takesFirst = first && isSelectable(first) && (first === this.once || first.size <= AUTOMATIC_SERIES);
    const isAlone = first && first.size > SERIES_OF_A_TICK / 2;
    this.once = null;
    // Those whose turn is longest ago first, so that each gets its turn where the numbers are bounded.
    const oldest = (/** @type {Family} */ a, /** @type {Family} */ b) => a.readAt - b.readAt;
    const isShown = new Set(shown);
    const others = background.filter((family) => mayRead(family) && !isShown.has(family)).sort(oldest).slice(0, REQUESTS_OF_A_TICK * NAMES_AT_MOST);
    const turns = takesFirst && isAlone && first.dueAt <= now ? [[first]] : [];
    turns.push(...batchesOf([...(takesFirst && !isAlone ? [first] : []), ...shown.filter(mayRead).sort(oldest), ...others], now));
    for (const families of turns) {
      try {
        await readNumbers(families, AbortSignal.timeout(TIMEOUT_MS));
      } catch (error) {
        if (!(error instanceof SourceError) || error.kind !== "long" || families.length < 2) throw error;
        queryCharacters /= 2;
        return;
      }
      this.page.numbers(families);
      await pause();
    }
  }
}

/** @typedef {{error: SourceError | null, retryAt: number, isPaused: boolean, took: number, failures: number, isHidden: boolean}} PollState */
