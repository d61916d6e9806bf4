// Keeps a page true without loading it anew. All markup comes from the server, escaped; what changed is put into the page
// element by element, so that focus, open details and the place on the page stay. Logs are put in as text.
"use strict";

const byId = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// --- putting new markup into the page ---

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function becomeElement(now, next) {
  for (const { name } of [...now.attributes])
    if (!next.hasAttribute(name) && !(now.nodeName === "DETAILS" && name === "open")) now.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (now.getAttribute(name) !== value && !(now.nodeName === "DETAILS" && name === "open")) now.setAttribute(name, value);
  // What somebody opened is filled by load(), which also brings it up to date.
  const loaded = now.nodeName === "DETAILS" && now.dataset.src && now.dataset.loaded;
  if (loaded) {
    becomeElement(now.querySelector("summary"), next.querySelector("summary"));
    if (now.open) load(now);
    return;
  }
  becomeChildren(now, next);
}

function becomeChildren(now, next) {
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    if (at && sameKind(at, wanted)) {
      if (at.nodeType === Node.ELEMENT_NODE) becomeElement(at, wanted);
      else if (at.data !== wanted.data) at.data = wanted.data;
      at = at.nextSibling;
    } else {
      now.insertBefore(wanted, at);
    }
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}

function become(element, html) {
  becomeChildren(element, parsed(html));
}

// --- agents by state ---

function place(item) {
  const list = document.querySelector(`section[data-state="${CSS.escape(item.dataset.state)}"] .agents`);
  if (!list || item.parentNode === list) return;
  const number = Number(item.dataset.n);
  let before = null;
  for (let other = list.lastElementChild; other && Number(other.dataset.n) > number; other = other.previousElementSibling)
    before = other;
  list.insertBefore(item, before);
}

function showRow(row) {
  const next = parsed(row.html).firstElementChild;
  const now = byId(next.id);
  if (!now) {
    next.classList.add("new");
    place(next);
    return;
  }
  const focused = document.activeElement;
  becomeElement(now, next);
  place(now);
  if (focused && now.contains(focused)) focused.focus({ preventScroll: true });
}

function countGroups() {
  let all = 0;
  for (const group of document.querySelectorAll("#agents section")) {
    const number = group.querySelector(".agents").childElementCount;
    all += number;
    group.querySelector(".count").textContent = number;
    group.classList.toggle("empty", number === 0);
  }
  byId("none").classList.toggle("empty", all > 0);
}

function showStatus(news) {
  performance.mark("update-begins");
  if (news.whole) for (const list of document.querySelectorAll("#agents .agents")) list.replaceChildren();
  for (const row of news.rows) showRow(row);
  for (const id of news.gone) byId("agent-" + id)?.remove();
  for (const [name, html] of Object.entries(news.parts)) become(byId("part-" + name), html);
  countGroups();
  performance.measure("update", "update-begins");
}

// A list of belongings that somebody opened.
async function load(details) {
  const answer = await fetch(details.dataset.src);
  if (!answer.ok) return;
  const list = parsed(await answer.text());
  const old = details.querySelector("ul");
  if (details.dataset.loaded && old) {
    becomeElement(old, list.firstElementChild);
    return;
  }
  details.dataset.loaded = "yes";
  details.replaceChildren(details.querySelector("summary"), list);
}

// --- hearing of changes ---

let asking = new AbortController();
let afresh = false;  // the search changed: what the page shows is no base for changes

function tell(text, lost) {
  const live = byId("live");
  if (live.textContent !== text) live.textContent = text;
  live.classList.toggle("lost", lost);
}

async function whileHidden() {
  while (document.hidden)
    await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

// Asks for what changed since a version, for as long as show() wants more. Each answer comes when there is something new.
async function follow(version, query, show) {
  for (;;) {
    await whileHidden();
    if (afresh) version = 0;
    afresh = false;
    try {
      const answer = await fetch("/live?" + query(version), { signal: asking.signal });
      if (answer.status === 401 || answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      const news = await answer.json();
      if (news.version !== version && show(news) === false) return;
      version = news.version;
      tell("live", false);
      await pause(1000 * Number(answer.headers.get("Retry-After") || 0.15));
    } catch (problem) {
      if (problem.name === "AbortError") continue;
      tell("Ebbtide does not answer; trying again", true);
      await pause(2000);
    }
  }
}

// --- the status page ---

function filterQuery() {
  const query = new URLSearchParams(new FormData(byId("filter")));
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  return query;
}

function startStatus(status) {
  const form = byId("filter");
  let typed = 0;
  const refilter = () => {
    const query = filterQuery().toString();
    history.replaceState(null, "", query ? "/?" + query : "/");
    byId("none").textContent = query ? "None that this search finds." : "None.";
    afresh = true;
    asking.abort();
    asking = new AbortController();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    refilter();
  });
  form.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(refilter, 200);
  });
  // "toggle" does not rise; it is caught on its way down.
  byId("agents").addEventListener("toggle", (event) => {
    const details = event.target;
    if (details.open && details.dataset.src) load(details);
  }, true);
  const query = (since) => {
    const all = filterQuery();
    all.set("since", since);
    return all;
  };
  follow(Number(status.dataset.version), query, showStatus);
}

// --- an agent's page ---

function startAgent(page) {
  const query = (since) => new URLSearchParams({ agent: page.dataset.agent, since });
  follow(Number(page.dataset.version), query, (news) => {
    if (news.gone) {
      location.reload();  // the history has it now
      return false;
    }
    for (const [name, html] of Object.entries(news.parts)) become(byId("part-" + name), html);
  });
  followAudit(byId("part-audit"));
  const log = byId("log-lines");
  if (log && !log.dataset.src.endsWith("=")) followLog(log);
}

// Requests of jobs are many, and no news of the agent's: asked for while somebody looks.
async function followAudit(part) {
  for (;;) {
    await pause(2000);
    await whileHidden();
    try {
      const answer = await fetch(part.dataset.src);
      if (answer.ok && !answer.redirected) become(part, await answer.text());
    } catch {
      // follow() tells that the server is away.
    }
  }
}

const kLogSize = 400000;   // characters that a log keeps
const kLineSize = 4000;    // characters of a line that are shown

// Without colours and other control sequences; with what changes the direction of text written out.
function readable(text) {
  return text
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, "")
    .replace(/\r\n/g, "\n").replace(/\r/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "")
    .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
      (c) => "[U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "]");
}

class LogView {
  constructor(element) {
    this.element = element;
    this.line = 0;  // characters of the last line so far
    this.size = 0;
  }

  add(text) {
    const atEnd = this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight < 30;
    let out = "";
    for (const [index, piece] of readable(text).split("\n").entries()) {
      if (index > 0) {
        out += "\n";
        this.line = 0;
      }
      const room = kLineSize - this.line;
      if (room > 0) out += piece.length > room ? piece.slice(0, room) + " … (cut)" : piece;
      this.line += piece.length;
    }
    if (!out) return;
    this.element.append(document.createTextNode(out));
    this.size += out.length;
    while (this.size > kLogSize && this.element.childNodes.length > 1) {
      this.size -= this.element.firstChild.data.length;
      this.element.firstChild.remove();
    }
    if (atEnd) this.element.scrollTop = this.element.scrollHeight;
  }
}

async function followLog(element) {
  try {
    const answer = await fetch(element.dataset.src);
    if (!answer.ok) return;  // what the server wrote stays
    element.replaceChildren();
    const view = new LogView(element);
    const decoder = new TextDecoder();
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      view.add(decoder.decode(value, { stream: true }));
    }
  } catch {
    // The agent's end, or the server's: what was read stays.
  }
}

// --- ages ---

function ageText(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - since) / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return seconds + " s";
  if (minutes < 60) return minutes + " min";
  return Math.floor(minutes / 60) + " h " + (minutes % 60) + " min";
}

function tickAges() {
  for (const time of document.querySelectorAll("time.age")) {
    const text = ageText(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

if (byId("status")) startStatus(byId("status"));
if (byId("agent-page")) startAgent(byId("agent-page"));
setInterval(tickAges, 5000);
