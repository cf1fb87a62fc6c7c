"use strict";
// Elements made by calls. Text enters the document as text alone, never as markup: no function here takes any.

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} id @returns {any} the element of the document with this id */
const byId = (id) => document.getElementById(id);

/**
 * An element with classes, as in "button.plain.small".
 * @param {string} tag @param {Record<string, any> | null} [properties] "on" and an event's name for a listener, attributes
 * otherwise; false and null leave an attribute out @param {...(Node | string | number | null | false | undefined)} children
 * @returns {any}
 */
function h(tag, properties, ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElement(name), classes, properties, children);
}

/** As `h`, an element of SVG. @returns {any} */
function svg(/** @type {string} */ tag, /** @type {Record<string, any> | null} */ properties, /** @type {any[]} */ ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElementNS(SVG, name), classes, properties, children);
}

/** @param {Element} element @param {string[]} classes @param {any} properties @param {any[]} children */
function filled(element, classes, properties, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") && value !== null && value !== undefined) element.setAttribute(name, String(value));
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  return element;
}

/** Set the text of an element that holds nothing else; cheap if it has it already. @param {Element} element @param {string} text */
function setText(element, text) {
  const node = element.firstChild;
  if (node instanceof Text && !node.nextSibling) {
    if (node.data !== text) node.data = text;
  } else if (node || text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {string | null} value */
function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The text with each occurrence of a word marked. @param {Element} element @param {string} text @param {string[]} words in lower case */
function setMarked(element, text, words) {
  const lower = text.toLowerCase();
  const places = /** @type {[number, number][]} */ ([]);
  if (lower.length === text.length) {
    for (const word of words) {
      for (let at = lower.indexOf(word); at >= 0 && places.length < 50; at = lower.indexOf(word, at + word.length)) places.push([at, at + word.length]);
    }
  }
  if (!places.length) return setText(element, text);
  places.sort((a, b) => a[0] - b[0]);
  const parts = /** @type {(Node | string)[]} */ ([]);
  let end = 0;
  for (const [from, to] of places) {
    if (from < end) continue;
    parts.push(text.slice(end, from), h("mark", null, text.slice(from, to)));
    end = to;
  }
  element.replaceChildren(...parts, text.slice(end));
}

/** Say something to a screen reader, once it is silent. @param {string} text */
function announce(text) {
  setText(byId("live"), "");
  setTimeout(() => setText(byId("live"), text), 50);
}

/** @param {string} text @param {string} what that is copied */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied.`);
    return true;
  } catch { // not at an address without TLS
    const area = h("textarea.unseen", { "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    const host = document.querySelector("dialog[open]") ?? document.body;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    host.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    announce(done ? `${what} copied.` : `${what} could not be copied.`);
    return done;
  }
}

/** A button that copies a text, and says so. @param {string} label @param {() => string} text @param {string} what */
function copyButton(label, text, what) {
  const button = h("button.small", { type: "button", "aria-label": `Copy ${what}`, onclick: async () => {
    setText(button, (await copy(text(), what)) ? "Copied" : "Failed");
    setTimeout(() => setText(button, label), 1500);
  } }, label);
  return button;
}

/** A setting that the browser keeps, if it may. */
const kept = {
  /** @param {string} name @returns {string | null} */
  get(name) {
    try { return localStorage.getItem("pytheus." + name); } catch { return null; }
  },
  /** @param {string} name @param {string} value */
  set(name, value) {
    try { localStorage.setItem("pytheus." + name, value); } catch { /* it lasts as long as the page */ }
  },
};
