// Keyboard, response time and drafts of the annotation page. The page works without this script.
"use strict";

(() => {
  const form = document.getElementById("form");
  const picture = document.getElementById("picture");
  const message = document.getElementById("message");
  const back = document.getElementById("back");
  const skip = document.getElementById("skip");
  const save = document.getElementById("save");
  const draftKey = "annotate-draft-" + form.dataset.draft;
  const WEEK = 7 * 24 * 3600 * 1000;

  // Response time: from the moment the picture is on the screen; a reload continues the count.
  let shownAt = null;
  let earlier = 0;
  let submitting = false;
  const elapsed = () => Math.round(earlier + (shownAt === null ? 0 : performance.now() - shownAt));
  const loaded = () => {
    if (shownAt === null) shownAt = performance.now();
    if (form.dataset.next) new Image().src = "/image/" + form.dataset.next;
  };
  if (picture.complete) loaded();
  else picture.addEventListener("load", loaded, { once: true });

  // Drafts: what is filled in survives a reload, a crash, and a server that is away for a moment.
  const storage = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* private window: no drafts */ } },
    remove(key) { try { localStorage.removeItem(key); } catch { /* as above */ } },
    keys() { try { return Object.keys(localStorage); } catch { return []; } },
  };
  const inputs = () => [...form.querySelectorAll("fieldset input")];
  const keepDraft = () => {
    const checked = inputs().filter((input) => input.checked).map((input) => [input.name, input.value]);
    storage.set(draftKey, JSON.stringify({ checked, elapsed: elapsed(), at: Date.now() }));
  };
  const restoreDraft = () => {
    let draft = null;
    try { draft = JSON.parse(storage.get(draftKey)); } catch { return; }
    if (!draft || !Array.isArray(draft.checked)) return;
    const wanted = new Set(draft.checked.map(([name, value]) => name + "\n" + value));
    for (const input of inputs()) input.checked = wanted.has(input.name + "\n" + input.value);
    if (Number.isFinite(draft.elapsed) && draft.elapsed > 0) earlier = draft.elapsed;
  };
  const dropOldDrafts = () => {
    for (const key of storage.keys()) {
      if (!key.startsWith("annotate-draft-")) continue;
      let at = 0;
      try { at = JSON.parse(storage.get(key)).at; } catch { /* not ours to read, drop */ }
      if (!(Date.now() - at < WEEK)) storage.remove(key);
    }
  };

  // Questions: those hidden by "reject" do not count.
  const questions = () => [...form.querySelectorAll("fieldset[data-question]")].filter((set) => !set.hidden);
  const answered = (set) => set.querySelector("input:checked") !== null;
  const missing = () => questions().filter((set) => "required" in set.dataset && !answered(set));
  const showQuestions = () => {
    const decision = form.querySelector('input[name="decision"]:checked');
    if (!form.querySelector('[data-question="decision"]')) return;
    const rejected = decision !== null && decision.value === "reject";
    for (const set of form.querySelectorAll("fieldset[data-question]")) {
      const name = set.dataset.question;
      if (name === "decision" || name === "tags") continue;
      set.hidden = name === "reject_reasons" ? !rejected : rejected;
    }
  };
  const current = () => {
    const focused = document.activeElement && document.activeElement.closest("fieldset[data-question]");
    if (focused && !focused.hidden) return focused;
    return questions().find((set) => !answered(set)) || null;
  };
  const highlight = () => {
    const now = current();
    for (const set of form.querySelectorAll("fieldset[data-question]")) set.classList.toggle("current", set === now);
  };
  const focusQuestion = (set) => {
    // the question, not its first option: a ring around one option would suggest it
    set.focus({ preventScroll: true });
    set.scrollIntoView({ block: "nearest" });
    highlight();
  };
  const goOn = (set) => {
    const all = questions();
    const next = all.slice(all.indexOf(set) + 1).find((later) => !answered(later)) || missing()[0];
    if (next) focusQuestion(next);
    else save.focus({ preventScroll: true });
    highlight();
  };
  const say = (text, bad) => {
    message.textContent = text;
    message.className = text === "" ? "" : bad ? "error" : "quiet";
  };

  // The wheel: a click on a cell is a click on its radio button.
  const paintWheel = () => {
    for (const cell of document.querySelectorAll(".wheel .cell")) {
      const input = form.querySelector(`input[name="wheel"][value="${cell.dataset.value}"]`);
      cell.classList.toggle("chosen", input !== null && input.checked);
    }
  };
  for (const cell of document.querySelectorAll(".wheel .cell")) {
    cell.addEventListener("click", () => form.querySelector(`input[name="wheel"][value="${cell.dataset.value}"]`).click());
  }

  let leaf = null; // the leaf whose strength is still to be chosen
  const showLeaf = (row) => {
    leaf = row;
    for (const other of form.querySelectorAll(".leaf")) other.classList.toggle("open", other === row);
  };
  const pressWheel = (set, key) => {
    if (leaf !== null && key >= "1" && key <= "3") {
      const chosen = leaf.querySelectorAll("input")[Number(key) - 1];
      showLeaf(null);
      chosen.click();
      say("", false);
      goOn(set);
      return true;
    }
    const row = set.querySelector(`.leaf[data-leaf="${key}"]`);
    if (!row) return false;
    if (key === "0") {
      showLeaf(null);
      row.querySelector("input").click();
      goOn(set);
    } else {
      showLeaf(row);
      say(`Leaf ${key}: now the strength, 1 strong, 2 middle, 3 weak.`, false);
    }
    return true;
  };
  const pressDigit = (key) => {
    const set = current();
    if (set === null) return false; // everything is answered and Save has the focus: a stray digit changes nothing
    if (set.dataset.question === "wheel") return pressWheel(set, key);
    const input = set.querySelector(`input[data-key="${key}"]`);
    if (!input) return false;
    input.click();
    if (input.type === "radio") goOn(set);
    else input.focus({ preventScroll: true });
    return true;
  };
  const pressEnter = () => {
    const set = missing()[0];
    if (!set) { form.requestSubmit(save); return; }
    say("Please answer the marked question first.", true);
    focusQuestion(set);
  };

  const shortcuts = document.getElementById("shortcuts");
  document.getElementById("shortcuts-label").hidden = false;
  shortcuts.checked = storage.get("annotate-shortcuts") !== "off";
  shortcuts.addEventListener("change", () => storage.set("annotate-shortcuts", shortcuts.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const on = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Enter") {
      if (on.closest("a, button, summary")) return;
      event.preventDefault();
      pressEnter();
      return;
    }
    if (!shortcuts.checked) return;
    let used = false;
    if (/^[0-9]$/.test(event.key)) used = pressDigit(event.key);
    else if (event.key === "s" && skip) { form.requestSubmit(skip); used = true; }
    else if (event.key === "b" && back) { back.click(); used = true; }
    else if (event.key === "?") { const help = form.querySelector("details"); help.open = !help.open; used = true; }
    if (used) event.preventDefault();
  });

  form.addEventListener("change", () => {
    showQuestions();
    paintWheel();
    highlight();
    if (message.className === "error" && missing().length === 0) say("", false);
    keepDraft();
  });
  form.addEventListener("focusin", highlight);
  form.addEventListener("submit", (event) => {
    if (submitting) { event.preventDefault(); return; }
    const set = missing()[0];
    if (event.submitter !== skip && set) {
      event.preventDefault();
      say("Please answer the marked question first.", true);
      focusQuestion(set);
      return;
    }
    submitting = true;
    form.elements.response_ms.value = String(elapsed());
    keepDraft();
  });
  window.addEventListener("pageshow", () => { submitting = false; });
  window.addEventListener("pagehide", () => { if (!submitting) keepDraft(); });

  for (const set of form.querySelectorAll("fieldset[data-question]")) set.tabIndex = -1;
  dropOldDrafts();
  restoreDraft();
  showQuestions();
  paintWheel();
  const first = questions().find((set) => !answered(set)) || questions()[0];
  if (message.className !== "error") focusQuestion(first);
  else message.focus();
  window.scrollTo(0, 0);
})();
