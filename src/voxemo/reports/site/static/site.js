// Sorting, searching and filtering of tables, and folding on a phone. Everything on a page can be read without it.
"use strict";

const form = document.querySelector("form.filters");

function chosen() {
  return form ? [...new FormData(form)].filter(([, value]) => value !== "") : [];
}

// A facet may hold several words, such as the languages of a corpus. What does not have the facet is left alone.
function matches(element, choices) {
  return choices.every(([facet, value]) => {
    const words = element.dataset[facet];
    return words === undefined || words.split(" ").includes(value);
  });
}

const tables = [...document.querySelectorAll("table.sortable")].map((element) => {
  const heads = [...element.querySelectorAll("thead tr:last-child th")];
  const numbers = heads.map((head, index) => (head.classList.contains("number") ? index : -1)).filter((n) => n >= 0);
  const many = element.tBodies[0].rows.length > 8;
  // The box scrolls the table alone, so that the search field stays where it is.
  const box = element.parentElement;
  const table = new DataTable(element, {
    autoWidth: false,
    columnDefs: [
      { targets: numbers, type: "num", orderSequence: ["desc", "asc", ""] },
      // Of itself a button is called by the HTML of a head, and that of the group above it.
      ...heads.map((head, index) => ({ targets: index, ariaTitle: head.dataset.spoken })),
    ],
    layout: { topStart: many ? "search" : null, topEnd: null, bottomStart: many ? "info" : null, bottomEnd: null },
    order: [],
    paging: false,
    language: { search: "Search this table:", info: "Rows: _TOTAL_", infoFiltered: "of _MAX_", infoEmpty: "No rows" },
  });
  box.replaceWith(table.table().container());
  element.before(box);
  box.append(element);
  if (element.hasAttribute("data-filtered")) {
    table.search.fixed("filters", (_text, _data, index) => matches(table.row(index).node(), chosen()));
  }
  return table;
});

// A phone shows the headings of a board first. Who came for one of them finds it open.
if (matchMedia("(max-width: 40rem)").matches) {
  const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const part of document.querySelectorAll("details.part")) part.open = part.contains(asked);
}

function applyFilters() {
  const choices = chosen();
  let shown = 0;
  for (const table of tables) {
    if (!table.table().node().hasAttribute("data-filtered")) continue;
    table.draw();
    shown += table.rows({ search: "applied" }).count();
    // In a matrix of models by corpora a cell has facets of its own.
    for (const cell of table.table().body().querySelectorAll("td[data-training]")) {
      cell.classList.toggle("left-out", !matches(cell, choices));
    }
  }
  form.querySelector("output").value = choices.length ? `${shown} ${shown === 1 ? "row" : "rows"} left` : "";
}

if (form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", applyFilters);
  form.addEventListener("reset", () => setTimeout(applyFilters));
}
