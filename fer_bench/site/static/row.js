// A row: its plots, and its comparison with another.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const { element } = FerBench;
  const form = document.querySelector("form.compare");
  const id = form.dataset.id;
  const row = FerBench.given(id);
  const board = FerBench.given("board");
  if (!row) return;
  const scaled = (value, percent = row.percent) => (value === null ? null : percent ? 100 * value : value);
  const points = ({ x, y }, percent) => x.map((epoch, i) => ({ x: epoch, y: scaled(y[i], percent) }));

  function panel(parent, title, label, build) {
    const canvas = element("canvas");
    parent.append(element("figure", {}, element("figcaption", {}, title), element("div", { className: "plot" }, canvas)));
    FerBench.charts.draw(canvas, label, build);
  }

  if (row.curves) {
    const place = document.getElementById("curves");
    place.hidden = false;
    const { metrics, runs, each } = row.curves;
    for (const [name, title] of Object.entries(metrics)) {
      const percent = row.percent && name !== "loss";
      const lines = runs.flatMap(({ curves }, i) => ["train", "validation"].filter((split) => curves[`${split}/${name}`]).map((split) => [split, i, points(curves[`${split}/${name}`], percent)]));
      if (!lines.length) continue;
      const kept = runs.map((run) => run.best).filter(Boolean);
      const said = `${title} by epoch on training and validation, ${runs.length === 1 ? "one run" : `${runs.length} ${each}`}; kept: epoch ${kept.join(", ")}.`;
      panel(place, said, said, ({ series }) => ({
        type: "line",
        data: { datasets: lines.map(([split, i, data]) => ({ label: split, data, borderColor: series[split === "train" ? 0 : 1], backgroundColor: series[split === "train" ? 0 : 1], borderDash: split === "train" ? [5, 3] : [], borderWidth: 1.6, pointRadius: 0, pointStyle: "line", first: i === 0 })) },
        options: {
          parsing: false,
          interaction: { mode: "nearest", intersect: false },
          scales: { x: { type: "linear", title: { text: "epoch" }, ticks: { precision: 0 } }, y: { title: { text: title + (percent ? " (%)" : "") } } },
          plugins: { legend: { labels: { filter: (item, data) => data.datasets[item.datasetIndex].first, usePointStyle: true, pointStyleWidth: 26 } } },
        },
      }));
    }
  }

  if (row.members) {
    const figure = document.getElementById("members");
    figure.hidden = false;
    const { metric, percent, splits } = row.members;
    for (const [split, rules] of Object.entries(splits)) {
      const said = `${metric} on ${split} by number of members.`;
      panel(figure.querySelector(".plots"), said, `${said} Rules: ${Object.keys(rules).join(", ")}.`, ({ series }) => ({
        type: "line",
        data: { datasets: Object.entries(rules).map(([rule, values], i) => ({ label: rule.replaceAll("_", " "), data: values.map((value, k) => ({ x: k + 1, y: scaled(value, percent) })), borderColor: series[i], backgroundColor: series[i], pointStyle: FerBench.charts.POINTS[i], pointRadius: 2.5, borderWidth: 1.5 })) },
        options: { parsing: false, scales: { x: { type: "linear", title: { text: "members" }, ticks: { precision: 0 } }, y: { title: { text: metric + (percent ? " (%)" : "") } } } },
      }));
    }
  }

  if (row.reliability) {
    const figure = document.getElementById("reliability");
    figure.hidden = false;
    const { edges, accuracy, confidence, share } = row.reliability;
    const found = accuracy.map((value, i) => (value === null ? null : { x: confidence[i], y: value })).filter(Boolean);
    const width = edges[1] - edges[0];
    FerBench.charts.draw(figure.querySelector("canvas"), `Reliability: accuracy against confidence in ${found.length} bins, ${found.map((p) => `${p.y.toFixed(2)} at ${p.x.toFixed(2)}`).join(", ")}.`, ({ series, quiet, line }) => ({
      type: "scatter",
      data: {
        datasets: [
          { label: "accuracy", data: found, showLine: true, borderColor: series[0], backgroundColor: series[0], pointRadius: 4, borderWidth: 1.5 },
          { label: "equal", data: [{ x: 0, y: 0 }, { x: 1, y: 1 }], showLine: true, borderColor: quiet, borderDash: [5, 4], borderWidth: 1.2, pointRadius: 0, pointStyle: "line" },
          { label: "share of answers", data: share.flatMap((y, i) => [{ x: edges[i], y }, { x: edges[i + 1], y }]), showLine: true, fill: "origin", borderColor: quiet, borderWidth: 1, backgroundColor: line, pointRadius: 0, pointHitRadius: 0, pointStyle: "rect" },
        ],
      },
      options: { scales: { x: { type: "linear", min: 0, max: 1, title: { text: "confidence" } }, y: { min: 0, max: 1, title: { text: "accuracy, share of answers" } } } },
    }));
  }

  if (row.points) {
    const figure = document.getElementById("points");
    figure.hidden = false;
    const [low, high] = row.points.scale;
    for (const dimension of row.points.dimensions) {
      panel(figure.querySelector(".plots"), dimension.name, `Predicted against true ${dimension.name} of ${dimension.true.length} samples.`, ({ series, quiet }) => ({
        type: "scatter",
        data: {
          datasets: [
            { label: dimension.name, data: dimension.true.map((x, i) => ({ x, y: dimension.predicted[i] })), backgroundColor: `${series[0]}88`, pointRadius: 2.5 },
            { label: "equal", data: [{ x: low, y: low }, { x: high, y: high }], showLine: true, borderColor: quiet, borderDash: [5, 4], pointRadius: 0, pointStyle: "line" },
          ],
        },
        options: { scales: { x: { min: low, max: high, title: { text: "true" } }, y: { title: { text: "predicted" } } } },
      }));
    }
  }

  // Comparison.
  if (!row.test || !board) {
    form.replaceWith(element("p", {}, "For this row no paired test is known."));
    return;
  }
  const others = new Map(board.rows.filter((other) => other.id !== id && (other.copy ?? "") === row.copy).map((other) => [other.name, other]));
  if (!others.size) {
    form.replaceWith(element("p", {}, "There is no other row on its board."));
    return;
  }
  form.hidden = false;
  form.querySelector("datalist").append(...[...others.keys()].map((name) => element("option", { value: name })));
  const place = document.getElementById("comparison");
  const digits = row.percent ? 2 : 3;
  const shown = (value) => `${(row.percent ? 100 * value : value).toFixed(digits)}${row.unit ? ` ${row.unit}` : ""}`;
  const pText = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toPrecision(2)}`);

  function line(name, ...content) {
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, ...content));
  }
  async function compareWith(other) {
    place.replaceChildren(element("p", {}, "Loading …"));
    let data;
    try {
      data = await FerBench.load(`${other.id}.js`, other.id);
    } catch (error) {
      place.replaceChildren(element("p", { className: "caveat" }, `${error.message}.`));
      return;
    }
    if (!data.test || data.test.n !== row.test.n || Boolean(data.test.outcomes) !== Boolean(row.test.outcomes)) {
      place.replaceChildren(element("p", { className: "caveat" }, "These two rows cannot be tested against each other."));
      return;
    }
    const found = FerBench.stats.compare(row, data);
    const better = found.difference > 0 === row.higherIsBetter ? row.name : data.name;
    const verdict = found.p < 0.05 ? `${better} is better.` : "The two are not significantly different.";
    const over = found.trained ? "over other test samples and over training again" : "over other test samples; the networks are taken as given, for no row of the board has several seeds";
    const body = element("tbody", {},
      line("This row", `${row.name}: ${row.metric} ${shown(row.value)}`),
      line("Other row", element("a", { href: `${other.id}.html` }, data.name), `: ${row.metric} ${shown(data.value)}`),
      line("Difference", `${shown(found.difference)}, 95 % interval ${shown(found.low)} to ${shown(found.high)}`),
      line("Test", `${pText(found.p)}, ${over}`),
    );
    const counts = FerBench.stats.counts(row, data);
    if (counts) {
      body.append(line("Right answers", `both ${counts.both.toLocaleString("en")}, only this row ${counts.onlyA.toLocaleString("en")}, only the other ${counts.onlyB.toLocaleString("en")}, neither ${counts.neither.toLocaleString("en")}`));
      // McNemar's test takes samples as independent; of whole groups, clips or people, they are not.
      if (!row.test.deviations) body.append(line("These networks", `${pText(counts.p)} by McNemar's test, which takes both networks as they are`));
    }
    place.replaceChildren(element("p", { className: "verdict" }, verdict), element("div", { className: "scroll", role: "region", ariaLabel: "Comparison", tabIndex: 0 }, element("table", {}, body)));
    place.dataset.p = found.p;
    place.dataset.low = found.low;
    place.dataset.high = found.high;
  }
  function fromHash() {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("with");
    const other = [...others.values()].find((one) => one.id === wanted);
    if (!other) return;
    form.other.value = other.name;
    compareWith(other);
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = form.other.value.trim();
    const matching = others.get(typed) ?? [...others.values()].find((other) => typed && other.name.toLowerCase().includes(typed.toLowerCase()));
    if (!matching) {
      place.replaceChildren(element("p", { className: "caveat" }, "No row of the board has this name."));
      return;
    }
    form.other.value = matching.name;
    history.replaceState(null, "", `#with=${encodeURIComponent(matching.id)}`);
    compareWith(matching);
  });
  window.addEventListener("hashchange", fromHash);
  fromHash();
});
