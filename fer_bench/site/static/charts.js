// Plots in the colours of the scheme; drawn again when it changes.
"use strict";
FerBench.charts = (() => {
  // Okabe and Ito's colours, which people with any colour vision can distinguish; lighter ones on dark.
  const LIGHT = ["#0072b2", "#d55e00", "#00795a", "#a4568a", "#8a6d00", "#2f7fb0", "#555555", "#b33a00"];
  const DARK = ["#56b4e9", "#f0824a", "#2fc598", "#dd94c4", "#e6c229", "#8fd0f5", "#bbbbbb", "#ffa07a"];
  const POINTS = ["circle", "triangle", "rect", "rectRot", "star", "crossRot", "cross", "dash"];
  const drawn = new Map();

  function resolved(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  function colours() {
    const theme = document.documentElement.dataset.theme;
    const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    return { series: dark ? DARK : LIGHT, text: resolved("--text"), quiet: resolved("--quiet"), line: resolved("--line") };
  }

  // `build` gets the colours and returns what Chart.js takes; `label` is read out in place of the picture.
  function draw(canvas, label, build) {
    drawn.set(canvas, [label, build]);
    const chosen = colours();
    const config = build(chosen);
    Chart.getChart(canvas)?.destroy();
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const options = config.options ?? {};
    config.options = { animation: false, responsive: true, maintainAspectRatio: false, color: chosen.text, ...options };
    for (const scale of Object.values(config.options.scales ?? {})) {
      scale.grid = { color: chosen.line, ...scale.grid };
      scale.ticks = { color: chosen.quiet, ...scale.ticks };
      if (scale.title) scale.title = { display: true, color: chosen.text, ...scale.title };
    }
    config.options.plugins = { ...options.plugins, legend: { labels: { color: chosen.text, usePointStyle: true, boxHeight: 7 }, ...options.plugins?.legend } };
    return new Chart(canvas, config);
  }

  document.addEventListener("scheme", () => {
    for (const [canvas, [label, build]] of drawn) draw(canvas, label, build);
  });

  return { draw, POINTS };
})();
