// Fast looping through the images of a class. The page works without this script, one page per image.
"use strict";

(() => {
  const screening = document.getElementById("screening");
  const form = document.getElementById("form");
  const picture = document.getElementById("picture");
  const frame = document.getElementById("frame");
  const problem = document.getElementById("problem");
  const play = document.getElementById("play");
  const speed = document.getElementById("speed");
  const base = "/prescreen/" + screening.dataset.class;
  const total = Number(screening.dataset.total);
  const AHEAD = 8;

  let place = Number(screening.dataset.place);
  const items = new Map(); // place -> {id, marked}
  const asked = new Set();
  let timer = null;

  const say = (text) => { problem.textContent = text; problem.hidden = text === ""; };
  const ask = async (from) => {
    if (from >= total || asked.has(from) || items.has(from)) return;
    asked.add(from);
    try {
      const answer = await fetch(`${base}/batch?from=${from}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const batch = await answer.json();
      batch.items.forEach((item, index) => items.set(batch.from + index, item));
    } catch {
      say("The server cannot be reached. Marks made so far are saved.");
    }
    asked.delete(from);
  };
  const show = () => {
    const item = items.get(place);
    if (!item) return;
    picture.src = "/prescreen/image/" + item.id;
    frame.classList.toggle("marked", item.marked);
    form.elements.item.value = item.id;
    form.elements.at.value = String(place);
    document.getElementById("mark").value = item.marked ? "no" : "yes";
    document.getElementById("mark-text").textContent = item.marked ? "Unmark" : "Mark as confusing";
    document.getElementById("place").textContent = String(place + 1);
    history.replaceState(null, "", "?at=" + place);
    for (let step = 1; step <= AHEAD; step += 1) {
      const ahead = items.get(place + step);
      if (ahead) new Image().src = "/prescreen/image/" + ahead.id;
      else if (place + step < total) { ask(place + step); break; }
    }
  };
  const go = async (to) => {
    if (to < 0 || to >= total) { stop(); return; }
    if (!items.has(to)) await ask(to);
    if (!items.has(to)) { stop(); return; }
    place = to;
    show();
  };
  const mark = async () => {
    const item = items.get(place);
    if (!item) return;
    const chosen = !item.marked;
    const fields = new URLSearchParams({ csrf: form.elements.csrf.value, item: item.id, at: String(place), chosen: chosen ? "yes" : "no" });
    try {
      const answer = await fetch(base + "/mark", { method: "POST", body: fields, headers: { Accept: "application/json" } });
      const result = await answer.json();
      if (!answer.ok) { stop(); say(result.error); return; }
      item.marked = chosen;
      say("");
      document.getElementById("chosen").textContent = String(result.chosen);
      document.getElementById("chosen-bar").value = result.chosen;
      if (items.get(place) === item) show();
    } catch {
      stop();
      say("The mark could not be saved. Please try again.");
    }
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    document.getElementById("play-text").textContent = "Play";
  };
  const start = () => {
    stop();
    timer = setInterval(() => go(place + 1), 1000 / Number(speed.value));
    document.getElementById("play-text").textContent = "Pause";
  };
  const toggle = () => (timer === null ? start() : stop());

  play.hidden = false;
  document.getElementById("speed-label").hidden = false;
  play.addEventListener("click", toggle);
  speed.addEventListener("input", () => { if (timer !== null) start(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); mark(); });
  document.getElementById("next").addEventListener("click", (event) => { event.preventDefault(); go(place + 1); });
  document.getElementById("previous").addEventListener("click", (event) => { event.preventDefault(); go(place - 1); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === speed) return;
    const onButton = event.target instanceof Element && event.target.closest("a, button");
    if (event.key === "ArrowRight") { event.preventDefault(); go(place + 1); }
    else if (event.key === "ArrowLeft") { event.preventDefault(); go(place - 1); }
    else if (event.key === "m" && !event.repeat) { event.preventDefault(); mark(); }
    else if (event.key === " " && !onButton && !event.repeat) { event.preventDefault(); toggle(); }
  });
  ask(place).then(show);
})();
