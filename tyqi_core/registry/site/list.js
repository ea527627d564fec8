// The list of nodes: search as you type, filters, keyboard. What is chosen stands in the address, so a view can be shared.
// Foreign text only ever becomes text: nothing here makes HTML of a string.
(() => {
  "use strict";
  const STEP = 40;
  const SHORT = 10;
  const NAMES = 6;
  const FACETS = [
    ["category", "Category"], ["input", "Input type"], ["output", "Output type"], ["device", "Device"],
    ["tier", "Tier"], ["licence", "Licence"], ["tag", "Tag"],
  ];
  const TIERS = ["gold", "silver", "bronze", "none"];
  const WORDS = { tier: { none: "no tier" }, device: { cpu: "CPU", gpu: "GPU", any: "CPU or GPU" } };
  const worded = (name, value) => WORDS[name]?.[value] ?? value;
  const nodes = (window.TYQI_NODES || []).map(prepared);
  const at = (id) => document.getElementById(id);
  const search = at("search"), results = at("results"), more = at("more"), reset = at("reset");
  const chosen = Object.fromEntries(FACETS.map(([name]) => [name, new Set()]));
  const options = {};
  let found = [];
  let drawn = 0;

  function element(name, className, ...children) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  // ------------------------------------------------------------------------------------------------ searching

  function folded(text) {
    return text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  }

  // Words with single spaces between and around them: where a word begins and ends is then a plain search.
  function spaced(text) {
    return ` ${folded(text).replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `;
  }

  function prepared(node) {
    const fields = [
      [spaced(node.id), 8], [spaced(node.title), NAMES], [spaced(node.tag.join(" ")), 4],
      [spaced([node.category, node.package, ...node.outcomes, ...node.input, ...node.output].join(" ")), 3],
      [spaced(`${node.text} ${node.author} ${node.licence}`), 1],
    ];
    return { ...node, fields };
  }

  // How well a word fits: the beginning of a word counts twice, a whole word three times, and the middle of one only
  // in names, where words are glued together. 0: not at all.
  function fit(node, word) {
    let best = 0;
    for (const [text, weight] of node.fields) {
      if (weight * 3 <= best) break;
      if (text.includes(` ${word} `)) best = Math.max(best, weight * 3);
      else if (text.includes(` ${word}`)) best = Math.max(best, weight * 2);
      else if (weight >= NAMES && text.includes(word)) best = Math.max(best, weight);
    }
    return best;
  }

  // "image > mask" asks for nodes that take the one and give the other; everything else is words.
  function question() {
    const text = folded(search.value).replace(/->|→/g, ">");
    const [left, ...right] = text.split(">");
    if (!right.length) return { words: text.split(/\s+/).map((word) => spaced(word).trim()).filter(Boolean), takes: "", gives: "" };
    return { words: [], takes: typed(left), gives: typed(right.join(" ")) };
  }

  function typed(text) {
    return text.trim().replace(/[\s-]+/g, "_").replace(/^list_of_/, "list of ");
  }

  function score(node, { words, takes, gives }) {
    if (takes && !node.input.some((type) => type.includes(takes))) return 0;
    if (gives && !node.output.some((type) => type.includes(gives))) return 0;
    let sum = 1;
    for (const word of words) {
      const one = fit(node, word);
      if (!one) return 0;
      sum += one;
    }
    return sum;
  }

  // -------------------------------------------------------------------------------------------------- filters

  const values = (node, name) => (Array.isArray(node[name]) ? node[name] : [node[name]]);

  function passes(node, without) {
    return FACETS.every(([name]) => name === without || !chosen[name].size
      || values(node, name).some((value) => chosen[name].has(value)));
  }

  function counts(matching, name) {
    const sums = new Map();
    for (const node of matching) {
      if (passes(node, name)) for (const value of values(node, name)) sums.set(value, (sums.get(value) || 0) + 1);
    }
    return sums;
  }

  function buildFacets() {
    for (const [name, label] of FACETS) {
      const sums = new Map();
      for (const node of nodes) for (const value of values(node, name)) sums.set(value, (sums.get(value) || 0) + 1);
      const ordered = [...sums.keys()].sort((one, other) => name === "tier"
        ? TIERS.indexOf(one) - TIERS.indexOf(other) : sums.get(other) - sums.get(one) || (one < other ? -1 : 1));
      const list = element("ul", "options");
      options[name] = ordered.map((value) => option(name, value, list));
      const set = element("fieldset", "facet", element("legend", "", label), list);
      set.dataset.facet = name;
      if (ordered.length > SHORT) set.append(unfolding(set, ordered.length));
      at("facets").append(set);
    }
  }

  function option(name, value, list) {
    const box = element("input");
    box.type = "checkbox";
    box.name = name;
    box.value = value;
    const number = element("span", "number");
    const line = element("li", "", element("label", "", box, element("span", "", worded(name, value)), number));
    list.append(line);
    box.addEventListener("change", () => choose(name, value, box.checked));
    return { value, box, line, number };
  }

  function unfolding(set, count) {
    const button = element("button", "unfold", `All ${count}`);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    set.classList.add("folded");
    button.addEventListener("click", () => {
      const is = set.classList.toggle("folded");
      button.textContent = is ? `All ${count}` : "Fewer";
      button.setAttribute("aria-expanded", String(!is));
    });
    return button;
  }

  function choose(name, value, wanted) {
    chosen[name][wanted ? "add" : "delete"](value);
    changed();
  }

  function drawFacets(matching) {
    for (const [name] of FACETS) {
      const sums = counts(matching, name);
      let place = 0;
      for (const { value, box, line, number } of options[name]) {
        const sum = sums.get(value) || 0;
        box.checked = chosen[name].has(value);
        number.textContent = sum;
        line.classList.toggle("empty", !sum && !box.checked);
        line.classList.toggle("late", place >= SHORT && !box.checked);
        place += sum || box.checked ? 1 : 0;
      }
    }
  }

  function drawChosen() {
    const chips = FACETS.flatMap(([name, label]) => [...chosen[name]].map((value) => {
      const chip = element("button", "chip", `${label}: ${worded(name, value)} `, element("span", "", "×"));
      chip.type = "button";
      chip.setAttribute("aria-label", `Remove filter ${label}: ${worded(name, value)}`);
      chip.addEventListener("click", () => { choose(name, value, false); search.focus(); });
      return chip;
    }));
    at("chosen").replaceChildren(...chips);
    reset.hidden = !chips.length && !search.value;
  }

  // -------------------------------------------------------------------------------------------------- results

  function refresh() {
    const asked = question();
    const matching = nodes.map((node) => [score(node, asked), node]).filter(([sum]) => sum > 0);
    const shown = matching.filter(([, node]) => passes(node, ""));
    shown.sort(([one, node], [other, next]) => Boolean(node.state) - Boolean(next.state) || other - one
      || TIERS.indexOf(node.tier) - TIERS.indexOf(next.tier) || (node.id < next.id ? -1 : 1));
    found = shown.map(([, node]) => node);
    results.replaceChildren();
    drawn = 0;
    drawMore();
    drawFacets(matching.map(([, node]) => node));
    drawChosen();
    at("count").textContent = found.length === nodes.length ? `${nodes.length.toLocaleString("en")} nodes`
      : `${found.length.toLocaleString("en")} of ${nodes.length.toLocaleString("en")} nodes`;
    at("nothing").hidden = found.length > 0;
    at("nothing").textContent = nodes.length ? `Nothing fits${nearest(asked.words)}` : "Nothing is published here yet.";
  }

  function nearest(words) {
    const known = new Set(nodes.flatMap((node) => node.fields.slice(0, 4).flatMap(([text]) => text.split(" "))));
    for (const word of words) {
      if (word.length < 4 || [...known].some((other) => other.includes(word))) continue;
      const close = [...known].filter((other) => other.length > 2 && edits(word, other) <= (word.length > 6 ? 2 : 1));
      if (close.length) return `. Did you mean “${close.sort((one, other) => edits(word, one) - edits(word, other))[0]}”?`;
    }
    return ". Take a filter away, or use fewer words.";
  }

  function edits(one, other) {
    let row = Array.from({ length: other.length + 1 }, (_, index) => index);
    for (let i = 1; i <= one.length; i += 1) {
      const next = [i];
      for (let j = 1; j <= other.length; j += 1) {
        next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1));
      }
      row = next;
    }
    return row[other.length];
  }

  function drawMore() {
    const next = found.slice(drawn, drawn + STEP);
    results.append(...next.map(row));
    drawn += next.length;
    more.hidden = drawn >= found.length;
  }

  function row(node) {
    const link = element("a", "", node.title);
    link.href = node.page;
    const head = element("div", "head", element("h2", "", link), element("code", "", node.id));
    if (node.state) {
      const state = element("span", `state ${node.state}`, node.state);
      state.title = node.reason;
      head.append(state);
    }
    head.append(element("span", `tier ${node.tier}`, worded("tier", node.tier)));
    const way = element("span", "way", ...chips(node.input), element("span", "to", "→"), ...chips(node.output));
    const facts = [node.category, worded("device", node.device), node.licence, node.version].join(" · ");
    return element("li", "", head, element("p", "", node.text), element("div", "meta", way, element("span", "", facts)));
  }

  function chips(types) {
    if (!types.length) return [element("span", "soft", "nothing")];
    return types.map((type) => element("span", `type ${type.replace("list of ", "")}`, type));
  }

  // ------------------------------------------------------------------------------------------------- address

  function changed() {
    const address = new URLSearchParams();
    if (search.value) address.set("q", search.value);
    for (const [name] of FACETS) for (const value of chosen[name]) address.append(name, value);
    const text = address.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    refresh();
  }

  function readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    search.value = address.get("q") || "";
    for (const [name] of FACETS) chosen[name] = new Set(address.getAll(name));
    refresh();
  }

  // ------------------------------------------------------------------------------------------------ keyboard

  const links = () => [...results.querySelectorAll("h2 a")];

  function move(step) {
    const all = links();
    const now = all.indexOf(document.activeElement);
    if (now < 0 && step < 0) return;
    if (now === all.length - 1 && step > 0 && !more.hidden) {
      drawMore();
      return move(step);
    }
    const next = now + step;
    (next < 0 ? search : all[Math.min(next, all.length - 1)] || search).focus();
  }

  function typing(target) {
    return target.matches("input:not([type=checkbox]), textarea, select");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const among = event.target === search || links().includes(event.target) || event.target === document.body;
    if (event.key === "/" && !typing(event.target)) search.focus();
    else if (event.key === "ArrowDown" && among) move(1);
    else if (event.key === "ArrowUp" && among) move(-1);
    else if (event.key === "Enter" && event.target === search) links()[0]?.click();
    else if (event.key === "Escape" && event.target !== search) search.focus();
    else if (event.key === "Escape" && search.value) { search.value = ""; changed(); }
    else return;
    event.preventDefault();
  });

  search.addEventListener("input", changed);
  more.addEventListener("click", () => { const last = drawn; drawMore(); links()[last]?.focus(); });
  reset.addEventListener("click", () => {
    search.value = "";
    for (const [name] of FACETS) chosen[name].clear();
    changed();
    search.focus();
  });
  window.addEventListener("hashchange", readAddress);
  if (window.IntersectionObserver) {
    new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && !more.hidden && drawMore(), { rootMargin: "600px" })
      .observe(more);
  }
  if (matchMedia("(max-width: 860px)").matches) at("fold").open = false;
  at("searching").hidden = at("filters").hidden = false;
  buildFacets();
  const asked = location.hash === "#find";
  readAddress();
  if (asked) search.focus();
})();
