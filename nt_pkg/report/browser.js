"use strict";
// Every text is set as text: nothing of the data is ever parsed as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const STEP = 25;
const make = (tag, fields = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), fields);
  node.append(...children);
  return node;
};
const byId = (id) => document.getElementById(id);
const fold = (text) => text.toLocaleLowerCase();

const haystacks = data.entries.map((entry) =>
  fold([entry.head, entry.note, ...Object.values(entry.tags).flat(), ...entry.blocks.map((b) => b.text)].join("\n")));

// Controls: a search, a filter for every kind of label that varies, and the highlights.
const controls = byId("controls");
const search = make("input", { type: "search", id: "search", autocomplete: "off", spellcheck: false });
controls.append(make("label", {}, make("span", { textContent: "Search" }), search));
const filters = [];
for (const [key, label] of data.filters) {
  const counts = new Map();
  for (const entry of data.entries)
    for (const value of entry.tags[key] || []) counts.set(value, (counts.get(value) || 0) + 1);
  const isCommon = [...counts.values()].every((count) => count === data.entries.length);
  if (isCommon) continue;
  const values = [...counts.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const select = make("select", { id: `filter-${filters.length}` });
  select.append(make("option", { value: "", textContent: "all" }));
  values.forEach((value, at) =>
    select.append(make("option", { value: String(at + 1), textContent: `${value} (${counts.get(value)})` })));
  filters.push({ key, select, values });
  controls.append(make("label", {}, make("span", { textContent: label }), select));
}
const highlight = make("input", { type: "checkbox", id: "highlight", checked: true });
if (data.words.length)
  controls.append(make("label", { className: "check" }, highlight, make("span", { textContent: "Highlight strategies" })));
controls.addEventListener("submit", (event) => event.preventDefault());

// Highlights: whole words of the strategies that an entry has.
const plain = (word) => word.replace(/[.*+?^${}()|[\]\\\/]/g, "\\$&");
const places = new Map(data.words.map((each, at) => [each.label, at % 6]));
const patterns = new Map(data.words.map((each) => [
  each.label,
  new RegExp(`(?<![\\p{L}\\p{N}_])(?:${each.words.map(plain).join("|")})(?![\\p{L}\\p{N}_])`, each.ignore_case ? "giu" : "gu"),
]));
const fill = (node, text, labels) => {
  const hits = [];
  for (const label of labels)
    if (patterns.has(label))
      for (const hit of text.matchAll(patterns.get(label))) hits.push([hit.index, hit.index + hit[0].length, label]);
  hits.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let at = 0;
  for (const [start, end, label] of hits) {
    if (start < at) continue;
    const mark = make("mark", { title: label }, text.slice(start, end), make("small", { textContent: label }));
    mark.dataset.series = places.get(label) + 1;
    node.append(text.slice(at, start), mark);
    at = end;
  }
  node.append(text.slice(at));
};

const showBlock = (block, entry) => {
  const text = make("div", { className: "text", dir: "auto" });
  fill(text, block.text, block.marked && highlight.checked ? entry.tags.strategies || [] : []);
  if (!block.text) text.append(make("i", { textContent: "empty" }));
  return make("div", { className: "block" }, make("p", { className: "label", textContent: block.label }), text);
};
const showEntry = (entry, at) => {
  const article = make("details", { className: "entry", open: at < 3 });
  const head = make("span", { className: "head", textContent: entry.head, dir: "auto" });
  const summary = make("summary", {}, head);
  if (entry.note) summary.append(make("span", { className: "who", textContent: entry.note }));
  article.append(summary);
  const chips = make("ul", { className: "chips" });
  for (const [key, label] of data.filters)
    for (const value of entry.tags[key] || []) {
      chips.append(make("li", { textContent: `${label}: ${value}` }));
    }
  if (chips.children.length) article.append(chips);
  let sides = null;
  for (const block of entry.blocks) {
    if (block.side === null) {
      sides = null;
      article.append(showBlock(block, entry));
      continue;
    }
    if (!sides) {
      sides = [make("div"), make("div")];
      article.append(make("div", { className: "sides" }, ...sides));
    }
    sides[block.side].append(showBlock(block, entry));
  }
  return article;
};

let found = [];
let shown = 0;
const list = byId("entries");
const more = byId("more");
const showMore = () => {
  const next = found.slice(shown, shown + STEP).map((at, place) => showEntry(data.entries[at], shown + place));
  list.append(...next);
  shown += next.length;
  more.hidden = shown >= found.length;
  return next[0];
};
const update = () => {
  const words = fold(search.value).split(/\s+/).filter(Boolean);
  const wanted = filters.filter((f) => f.select.value).map((f) => [f.key, f.values[f.select.value - 1]]);
  found = data.entries.map((_, at) => at).filter((at) =>
    words.every((word) => haystacks[at].includes(word))
    && wanted.every(([key, value]) => (data.entries[at].tags[key] || []).includes(value)));
  byId("count").textContent = `${found.length} of ${data.entries.length}`;
  shown = 0;
  list.replaceChildren();
  showMore();
};
more.addEventListener("click", () => showMore().querySelector("summary").focus());
controls.addEventListener("input", update);
update();
