// Draws the table of all trials: searched by words, sorted by a column, page by page.
(() => {
  const {titles, rows, consoles, home, where, maximize} = JSON.parse(document.getElementById("all-trials-data").textContent);
  const box = document.getElementById("all-trials"), search = document.getElementById("find-trial");
  const PAGE = 50; let by = 3, down = maximize, page = 0;
  const table = box.querySelector("table"), note = box.querySelector("p");
  // Python writes 1e-07 where JavaScript writes 1e-7.
  const shown = (value) => typeof value === "number" ? String(value).replace(/e-(\d)$/, "e-0$1") : value ?? "";
  const cell = (text, kind) => {
    const made = document.createElement("td");
    made.textContent = shown(text); made.className = kind; return made;
  };
  const less = (a, b) => a === b ? 0 : a == null ? 1 : b == null ? -1 : (a < b ? -1 : 1) * (down ? -1 : 1);
  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter(row => {
      const text = row.map(shown).join(" ").toLowerCase(); return words.every(word => text.includes(word));
    }).sort((a, b) => less(a[by], b[by]));
    page = Math.max(0, Math.min(page, Math.ceil(found.length / PAGE) - 1));
    const body = table.tBodies[0]; body.replaceChildren();
    for (const row of found.slice(page * PAGE, (page + 1) * PAGE)) {
      const line = body.insertRow();
      row.forEach((value, at) => {
        if (at) return line.append(cell(value, typeof value === "number" ? "n" : ""));
        const address = consoles[where < 0 ? home : row[where]];
        if (!address) return line.append(cell(value, "id"));
        const link = document.createElement("a");
        link.href = address + encodeURIComponent(String(value).split("/")[0]);
        link.textContent = value; line.append(cell("", "id")); line.cells[0].append(link);
      });
    }
    [...table.tHead.rows[0].cells].forEach((made, at) =>
      made.setAttribute("aria-sort", at !== by ? "none" : down ? "descending" : "ascending"));
    note.textContent = `${found.length.toLocaleString()} of ${rows.length.toLocaleString()} trials, ` +
      `page ${page + 1} of ${Math.max(1, Math.ceil(found.length / PAGE))}`;
  }
  const head = table.tHead.insertRow();
  titles.forEach((title, at) => {
    const made = document.createElement("th"), button = document.createElement("button");
    button.textContent = title; button.onclick = () => { down = by === at && !down; by = at; draw(); };
    if (rows.some(row => typeof row[at] === "number")) made.className = "n";
    made.append(button); head.append(made);
  });
  search.oninput = () => { page = 0; draw(); };
  box.querySelector("[name=before]").onclick = () => { page -= 1; draw(); };
  box.querySelector("[name=after]").onclick = () => { page += 1; draw(); };
  draw();
})();
