// What every page has: data that scripts give, the colour scheme, and buttons that copy.
"use strict";
const FerBench = (() => {
  const given = new Map();
  const loading = new Map();

  // Data come as scripts: a page that was opened as a file may load those, and nothing else.
  function load(source, name) {
    if (given.has(name)) return Promise.resolve(given.get(name));
    if (!loading.has(source)) {
      loading.set(source, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = source;
        script.onload = () => (given.has(name) ? resolve(given.get(name)) : reject(new Error(`${source} has no ${name}`)));
        script.onerror = () => reject(new Error(`${source} cannot be loaded`));
        document.head.append(script);
      }));
    }
    return loading.get(source);
  }

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  async function copy(text, button) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages that were opened as files may not use the clipboard everywhere.
      const area = element("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  }

  return {
    give: (name, data) => given.set(name, data),
    given: (name) => given.get(name),
    load,
    element,
    copy,
  };
})();

document.addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const button = document.querySelector("[data-theme-switch]");
  const order = ["auto", "light", "dark"];
  const say = () => (button.textContent = `Theme: ${root.dataset.theme ?? "auto"}`);
  say();
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % order.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("fer_bench.theme", next);
    } catch {
      // It counts for this page alone.
    }
    say();
    document.dispatchEvent(new Event("scheme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("scheme")));
  for (const copied of document.querySelectorAll("[data-copy]")) {
    copied.hidden = false;
    copied.addEventListener("click", () => FerBench.copy(copied.parentElement.querySelector("code").textContent, copied));
  }
  // A badge is shown elsewhere, so its address must be whole; a page that is a file has none.
  for (const badge of document.querySelectorAll("[data-badge]")) {
    const target = badge.dataset.badge;
    if (location.protocol !== "file:") badge.textContent = badge.textContent.replace(target, new URL(target, location.href).href);
  }
});
