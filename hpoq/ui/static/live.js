// Keeps a page current: its sections, its figures and its log.
"use strict";

const main = document.querySelector("main");
const lost = document.getElementById("lost");
const CONFIG = { displaylogo: false, responsive: true, displayModeBar: false };
const KEPT_LINES = 5000;
const drawn = new Map(); // place -> what it shows
let linesSeen = 0;

async function ask(where, as) {
  const answer = await fetch(where, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${where}: ${answer.status}`);
  return as === "json" ? answer.json() : answer.text();
}

async function refreshSections() {
  const page = new DOMParser().parseFromString(await ask(location.href, "text"), "text/html");
  for (const section of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(section.id);
    if (old && old.innerHTML !== section.innerHTML) old.innerHTML = section.innerHTML;
  }
  const next = page.querySelector("main");
  if (next.dataset.refresh) main.dataset.refresh = next.dataset.refresh;
  else delete main.dataset.refresh;
}

function draw(place, figure) {
  const text = JSON.stringify(figure);
  if (drawn.get(place) === text) return;
  const first = !drawn.has(place);
  drawn.set(place, text);
  place.style.height = `${figure.layout.height}px`;
  Plotly.react(place, figure.data, figure.layout, CONFIG);
  if (first)
    place.on("plotly_click", (click) => {
      const name = click.points[0].customdata;
      if (typeof name === "string") location.href = `/training-jobs/${encodeURIComponent(name)}`;
    });
}

async function refreshFigures() {
  const parts = await ask(main.dataset.figures, "json");
  for (const part of document.querySelectorAll("[data-part]")) {
    const figures = parts[part.dataset.part] || {};
    for (const [name, figure] of Object.entries(figures)) {
      const frame = part.querySelector(`[data-figure="${name}"]`);
      frame.dataset.drawn = "";
      draw(frame.querySelector("div"), figure);
    }
  }
}

async function refreshLog() {
  const log = document.getElementById("log");
  let answer;
  do {
    answer = await ask(`${main.dataset.log}?first=${linesSeen}`, "json");
    linesSeen += answer.lines.length;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
    log.append(...answer.lines.map(line));
    while (log.childElementCount > KEPT_LINES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (answer.figure) {
      document.getElementById("metrics").hidden = false;
      draw(document.querySelector("#metrics > div"), answer.figure);
    }
  } while (answer.more);
}

function line([at, text, host]) {
  const made = document.createElement("div");
  const time = document.createElement("time");
  time.textContent = new Date(at).toLocaleTimeString([], { hour12: false });
  made.append(time, host ? `${host}  ${text}` : text);
  return made;
}

async function refresh(first) {
  const asked = main.dataset.refresh; // what is asked once more after the end shows the end
  try {
    if (!first) await refreshSections();
    if (main.dataset.figures) await refreshFigures();
    if (main.dataset.log) await refreshLog();
    lost.hidden = true;
  } catch (error) {
    lost.hidden = false;
    console.info(String(error));
  }
  if (asked || !lost.hidden) setTimeout(refresh, 1000 * (asked || 5));
}

refresh(true);
