// Filters of the batch page. Without this script everything is there and readable; only the filters stay away.
(() => {
  "use strict";
  const cards = [...document.querySelectorAll(".card")];
  const tools = document.getElementById("tools");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const reset = document.getElementById("reset");
  const nothing = document.getElementById("nothing");
  const choices = [...document.querySelectorAll("button[data-filter]")];
  const chosen = { status: "", way: "" };

  function matches(card) {
    const text = search.value.trim().toLowerCase();
    return Object.keys(chosen).every((key) => !chosen[key] || card.dataset[key] === chosen[key])
      && (!text || card.dataset.text.includes(text));
  }

  function apply() {
    let count = 0;
    for (const card of cards) {
      card.hidden = !matches(card);
      count += card.hidden ? 0 : 1;
    }
    for (const choice of choices) {
      choice.setAttribute("aria-pressed", String(chosen[choice.dataset.filter] === choice.dataset.value));
    }
    shown.value = `${count} of ${cards.length} shown`;
    nothing.hidden = count > 0;
    reset.hidden = count === cards.length;
  }

  for (const choice of choices) {
    choice.disabled = false;
    choice.addEventListener("click", () => {
      const { filter, value } = choice.dataset;
      chosen[filter] = chosen[filter] === value ? "" : value;
      apply();
    });
  }
  search.addEventListener("input", apply);
  reset.addEventListener("click", () => {
    chosen.status = chosen.way = search.value = "";
    apply();
    search.focus();
  });
  tools.hidden = false;
  apply();
})();
