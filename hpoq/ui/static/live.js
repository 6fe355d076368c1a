// Keeps a page current: its sections, its figures and its log.
"use strict";

const main = document.querySelector("main");
const lost = document.getElementById("lost");
const dark = matchMedia("(prefers-color-scheme: dark)");
const CONFIG = { displaylogo: false, responsive: true, displayModeBar: false };
const KEPT_LINES = 5000;
const drawn = new Map(); // place -> [what it shows, as JSON; the figure]
let linesSeen = 0;

async function ask(where, as) {
  const answer = await fetch(where, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${where}: ${answer.status}`);
  return as === "json" ? answer.json() : answer.text();
}

// A section that somebody is filling in stays as it is.
function inUse(section) {
  const focused = document.activeElement;
  const typing = focused.matches("input, select, button, summary") && section.contains(focused);
  return typing || section.querySelector("details[open]") !== null;
}

function replace(old, section) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const link = focused && focused.getAttribute("href");
  old.innerHTML = section.innerHTML;
  if (link) old.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
}

async function refreshSections() {
  const page = new DOMParser().parseFromString(await ask(location.href, "text"), "text/html");
  for (const section of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(section.id);
    if (!old || old.innerHTML === section.innerHTML || inUse(old)) continue;
    replace(old, section);
  }
  const next = page.querySelector("main");
  if (next.dataset.refresh) main.dataset.refresh = next.dataset.refresh;
  else delete main.dataset.refresh;
}

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const made = structuredClone(layout);
  made.paper_bgcolor = made.plot_bgcolor = "rgba(0, 0, 0, 0)";
  made.font = { ...made.font, color: color("--ink") };
  made.hoverlabel = { ...made.hoverlabel, bgcolor: color("--panel"), bordercolor: color("--edge") };
  made.hoverlabel.font = { color: color("--ink") };
  const lines = { gridcolor: color("--line"), linecolor: color("--edge"), zerolinecolor: color("--line") };
  const axes = Object.keys(made).filter((name) => /^[xy]axis\d*$/.test(name));
  for (const name of new Set(["xaxis", "yaxis", ...axes])) made[name] = { ...made[name], ...lines };
  for (const label of made.annotations || [])
    if (label.text && label.font) label.font.color = color("--soft");
  return made;
}

function draw(place, figure) {
  const text = JSON.stringify(figure);
  if (drawn.has(place) && drawn.get(place)[0] === text) return;
  const first = !drawn.has(place);
  drawn.set(place, [text, figure]);
  place.style.height = `${figure.layout.height}px`;
  Plotly.react(place, figure.data, themed(figure.layout), CONFIG);
  if (first)
    place.on("plotly_click", (click) => {
      const name = click.points[0].customdata;
      if (typeof name !== "string") return;
      const [job, there] = name.split("?"); // of a campaign, each training job has its target
      const query = there ? `?${there}` : main.dataset.there || "";
      location.href = `/training-jobs/${encodeURIComponent(job)}${query}`;
    });
}

dark.addEventListener("change", () => {
  for (const [place, [, figure]] of drawn)
    Plotly.react(place, figure.data, themed(figure.layout), CONFIG);
});

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
  document.getElementById("drawing")?.remove();
}

async function refreshLog() {
  const log = document.getElementById("log");
  const note = document.getElementById("log-note");
  let answer;
  do {
    answer = await ask(`${main.dataset.log}${main.dataset.log.includes("?") ? "&" : "?"}first=${linesSeen}`, "json");
    linesSeen += answer.lines.length;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
    log.append(...answer.lines.map(line));
    while (log.childElementCount > KEPT_LINES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (answer.figure) {
      document.getElementById("metrics").hidden = false;
      draw(document.querySelector("#metrics > div"), answer.figure);
    }
    note.textContent = answer.note;
    note.hidden = !answer.note;
    log.hidden = Boolean(answer.note) && linesSeen === 0;
  } while (answer.more);
}

function line([at, text, host]) {
  const made = document.createElement("div");
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.textContent = new Date(at).toLocaleTimeString([], { hour12: false });
  made.append(time, host ? `${host}  ${text}` : text);
  return made;
}

// The times of the log are in the browser's zone.
function nameZone() {
  const parts = new Intl.DateTimeFormat([], { timeZoneName: "short" }).formatToParts(new Date());
  const zone = parts.find((part) => part.type === "timeZoneName");
  const place = document.getElementById("zone");
  if (place && zone) place.textContent = `times in ${zone.value}`;
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

nameZone();
refresh(true);
