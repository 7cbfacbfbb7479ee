// What keeps a person from reading the page, as a list of sentences. tests/check_report.py runs it in
// a browser, at the end of a copy of the page, which stands in a frame and tells the page around it.
(() => {
  const wrong = [];
  const say = (text) => { if (!wrong.includes(text)) wrong.push(text); };
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const name = (e) => {
    const tag = e.tagName.toLowerCase() + (e.id ? `#${e.id}` : "");
    const text = e.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    return `${tag}${e.className.baseVal === undefined && e.className ? `.${e.className}` : ""} "${text}"`;
  };
  all("details").forEach((e) => { e.open = true; });
  dispatchEvent(new Event("resize"));

  // Landmarks, language, headings.
  if (!document.documentElement.lang) say("the page does not say its language");
  if (!document.title) say("the page has no title");
  for (const tag of ["header", "nav", "main", "footer", "h1"])
    if (all(`body ${tag}`).length !== 1) say(`there is not exactly one ${tag}`);
  if (all("nav:not([aria-label])").length) say("the navigation has no name");
  let level = 0;
  for (const e of all("h1, h2, h3, h4")) {
    const own = Number(e.tagName[1]);
    if (own > level + 1) say(`the heading ${name(e)} skips a level`);
    level = own;
  }
  all("section").forEach((e) => {
    if (!document.getElementById(e.getAttribute("aria-labelledby"))) say(`section #${e.id} has no name`);
  });

  // Figures and tables.
  for (const e of all("svg")) {
    const title = document.getElementById(e.getAttribute("aria-labelledby"));
    if (e.getAttribute("role") !== "img" || !title || title.textContent.length < 40)
      say(`a figure says nothing to who cannot see it: ${title ? title.id : "no title"}`);
  }
  for (const e of all("table")) {
    if (!e.caption || e.caption.textContent.trim().length < 10) say(`${name(e)} has no caption`);
    if (all("th:not([scope])", e).length) say(`${e.caption.id} has headings without a scope`);
    if (all("tbody tr", e).some((row) => !row.querySelector("th"))) say(`${e.caption.id} has rows without a heading`);
  }
  const ids = all("[id]").map((e) => e.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => say(`the id ${id} is there twice`));

  // The keyboard: everything that can be used or scrolled is reached, and seen to be.
  const usable = all("a[href], summary, button:not([hidden]), input, select, [tabindex='0']");
  if (!usable.length || !usable[0].matches(".skip")) say("the first stop is not the link that skips to the report");
  for (const e of usable) {
    e.focus({ preventScroll: true });
    const style = getComputedStyle(e);
    if (document.activeElement !== e) say(`${name(e)} cannot be reached with Tab`);
    else if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) say(`${name(e)} does not show that it has the focus`);
  }
  for (const e of all("body *")) {
    const scrolls = ["auto", "scroll"];
    const style = getComputedStyle(e);
    const isWide = scrolls.includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1;
    const isTall = scrolls.includes(style.overflowY) && e.scrollHeight > e.clientHeight + 1;
    if ((isWide || isTall) && e.tabIndex < 0 && !e.querySelector("a[href]")) say(`${name(e)} scrolls and cannot be reached with Tab`);
  }
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth + 1) say(`the page is ${root.scrollWidth} px wide in a window of ${innerWidth}`);

  // Contrast of text: WCAG 2.2, 1.4.3 (level AA).
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  let lowest = 21;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(e) || e.closest("title, script, style")) continue;
    seen.add(e);
    const style = getComputedStyle(e);
    const own = channels(e.closest("svg") ? style.fill : style.color).slice(0, 3);
    const [high, low] = [light(own), light(behind(e))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    lowest = Math.min(lowest, ratio);
    if (ratio < (isLarge ? 3 : 4.5)) say(`${name(e)} has a contrast of ${ratio.toFixed(2)}`);
  }
  const found = { wrong, lowest, width: innerWidth, isDark: matchMedia("(prefers-color-scheme: dark)").matches };
  parent.postMessage(JSON.stringify(found), "*");
})();
