"use strict";

async function show() {
  const state = document.getElementById("state");
  const response = await fetch(location.pathname, {
    headers: { Accept: "application/vnd.pytheus.overview+json" },
  });
  if (!response.ok) {
    state.textContent = await response.text();
    return;
  }
  const overview = await response.json();
  const rows = overview.families.map((family) => {
    const row = document.createElement("tr");
    for (const text of [family.name, family.type, family.series, family.help]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  });
  document.getElementById("families").replaceChildren(...rows);
  state.textContent = `${rows.length} families of the registry ${overview.registry.address}`;
}

show();
