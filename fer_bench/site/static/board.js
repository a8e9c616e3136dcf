// A board: its table, filters, columns, permalinks and plots.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const { element } = FerBench;
  const board = FerBench.given("board");
  const place = document.getElementById("board");
  if (!board || !(board.rows.length + board.claims.length)) return;
  const NONE = "–";
  const INTERVALS = 25;
  const claims = board.claims.map((claim, i) => ({
    id: `claim ${i}`, page: `${place.dataset.root}${claim.page}#${claim.anchor}`, name: claim.model, short: claim.model, model: claim.model, kind: "claim",
    rank: null, value: claim.value, text: claim.text, seeds: 1, interval: null, between: NONE, year: claim.year,
    pretraining: claim.pretraining, caveats: [], numbers: {}, about: [claim.setting, claim.paper, claim.status].filter(Boolean).join("; "),
    claimed: true,
  }));
  const kinds = { ...board.kinds, ...(claims.length ? { claim: "Claim of a paper" } : {}) };
  const usualKinds = Object.keys(board.kinds).length ? Object.keys(board.kinds) : ["claim"];
  const rows = [...board.rows, ...claims];
  const folder = `${place.dataset.rows}/${board.slug}`;
  const pageOf = (row) => row.page ?? `${folder}/${row.id}.html`;

  const textOf = (row) => [row.name, kinds[row.kind], row.pretraining, row.about, ...row.caveats, ...(row.again ?? [])].join(" ").toLowerCase();
  const shown = (column, value) => (value === undefined ? NONE : (column.percent ? 100 * value : value).toFixed(column.digits));
  const between = (row, id, [low, high]) => {
    const value = row.getValue(id);
    return value !== undefined && (low === null || value >= low) && (high === null || value <= high);
  };
  const rankText = (rank) => (rank ? (rank[0] === rank[1] ? `${rank[0]}` : `${rank[0]}\u00a0to\u00a0${rank[1]}`) : NONE);
  const number = (accessor) => ({ accessorFn: (row) => accessor(row) ?? undefined, sortingFn: "basic", sortUndefined: "last", filterFn: between, number: true });

  const columns = [
    { id: "rank", title: "Rank", always: true, ...number((row) => row.rank && row.rank[0] * 1e6 + row.rank[1]), cell: (row) => rankText(row.rank) },
    { id: "name", title: "Model", always: true, accessorFn: (row) => row.name.toLowerCase(), sortingFn: "basic", filterFn: (row, id, words) => words.every((word) => row.original.searched.includes(word)), cell: nameCell },
    { id: "kind", title: "Kind", accessorFn: (row) => kinds[row.kind], sortingFn: "basic", filterFn: (row, id, chosen) => chosen.includes(row.original.kind), cell: (row) => kinds[row.kind] },
    { id: "value", title: board.metric + (board.unit ? ` ${board.unit}` : ""), always: true, firstDown: board.higherIsBetter, ...number((row) => row.value), cell: scoreCell },
    { id: "interval", title: "95 % interval", about: "over test samples", ...number((row) => row.interval?.[0]), cell: (row) => row.between },
    ...board.columns.map((column) => ({ id: column.key, title: column.title, about: column.about, ...number((row) => row.numbers[column.key]), cell: (row) => shown(column, row.numbers[column.key]) })),
    { id: "pretraining", title: "Pretraining", accessorFn: (row) => row.pretraining, sortingFn: "basic", filterFn: (row, id, wanted) => row.original.pretraining === wanted, cell: (row) => row.pretraining || NONE },
    { id: "year", title: "Year", about: "when it was measured, or published", ...number((row) => row.year), cell: (row) => row.year ?? NONE },
    { id: "caveats", title: "Caveats", accessorFn: (row) => row.caveats.length, sortingFn: "basic", filterFn: (row) => row.original.caveats.length === 0, cell: (row) => row.caveats.join("; ") || NONE },
    { id: "copy", title: "Copy", hiddenAlways: true, accessorFn: (row) => row.copy ?? "", filterFn: (row, id, wanted) => row.original.claimed || (row.original.copy ?? "") === wanted, cell: (row) => row.copy ?? NONE },
  ];
  for (const row of rows) row.searched = textOf(row);
  const byId = new Map(columns.map((column) => [column.id, column]));
  const narrow = matchMedia("(max-width: 40rem)").matches;
  const several = Object.keys(kinds).length > 1;
  const shownAtFirst = new Set(narrow ? ["rank", "name", "value"] : ["rank", "name", "value", "interval", ...(several ? ["kind"] : []), ...board.columns.filter((column) => column.shown).map((column) => column.key)]);
  const usualOrder = [{ id: "value", desc: board.higherIsBetter }];
  const usualSize = 25;

  function nameCell(row) {
    const cell = element("span", {}, element("a", { href: pageOf(row), title: row.name }, row.short));
    if (row.about) cell.append(element("span", { className: "more" }, ` ${row.about}`));
    const [first, ...others] = row.caveats;
    if (first) cell.append(" ", element("span", { className: "mark", title: row.caveats.join("; ") }, others.length ? `${first} +${others.length}` : first));
    for (const said of row.again ?? []) cell.append(" ", element("span", { className: "mark again" }, said));
    return cell;
  }
  function scoreCell(row) {
    const cell = element("span", { className: row.rank?.[0] === 1 ? "best" : "" }, row.text);
    if (row.seeds > 1) cell.append(`\u00a0(${row.seeds})`);
    return cell;
  }

  // The table's state, and the table.
  let state = { sorting: usualOrder, columnFilters: [], columnVisibility: {}, pagination: { pageIndex: 0, pageSize: usualSize } };
  const table = TableCore.createTable({
    data: rows,
    columns: columns.map(({ id, accessorFn, sortingFn, sortUndefined, filterFn, firstDown, number: isNumber }) => ({ id, accessorFn, sortingFn: sortingFn ?? "basic", sortUndefined, filterFn, sortDescFirst: firstDown ?? (isNumber && id !== "rank") })),
    state: {},
    onStateChange: () => {},
    renderFallbackValue: null,
    enableSortingRemoval: false,
    autoResetPageIndex: false,
    getCoreRowModel: TableCore.getCoreRowModel(),
    getFilteredRowModel: TableCore.getFilteredRowModel(),
    getSortedRowModel: TableCore.getSortedRowModel(),
    getPaginationRowModel: TableCore.getPaginationRowModel(),
  });
  const initial = table.initialState;
  const apply = () => table.setOptions((options) => ({ ...options, state: { ...initial, ...state } }));

  // The form.
  const form = place.querySelector("form");
  const kindsField = form.querySelector(".kinds");
  for (const [kind, title] of Object.entries(kinds)) {
    kindsField.append(element("label", {}, element("input", { type: "checkbox", name: "kind", value: kind, defaultChecked: usualKinds.includes(kind) }), ` ${title}`));
  }
  for (const text of [...new Set(rows.map((row) => row.pretraining))].filter(Boolean).sort()) form.pre.append(element("option", { value: text }, text));
  if (board.copies.length > 1) {
    form.querySelector(".copies").hidden = false;
    for (const copy of board.copies) form.copy.append(element("option", { value: copy }, copy));
  }
  const chooser = form.querySelector(".chooser div");
  for (const column of columns.filter((one) => !one.always && !one.hiddenAlways)) {
    chooser.append(element("label", { title: column.about ?? "" }, element("input", { type: "checkbox", name: "column", value: column.id, defaultChecked: shownAtFirst.has(column.id) }), ` ${column.title}`));
  }
  const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
  const limit = (text) => (text === "" || Number.isNaN(Number(text)) ? null : Number(text));

  function fromForm() {
    const filters = [];
    const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) filters.push({ id: "name", value: words });
    const chosen = checked("kind");
    if (chosen.length !== Object.keys(kinds).length) filters.push({ id: "kind", value: chosen });
    if (form.pre.value) filters.push({ id: "pretraining", value: form.pre.value });
    for (const [id, from, to] of [["parameters", form.pmin, form.pmax], ["year", form.ymin, form.ymax]]) {
      const range = [limit(from.value), limit(to.value)];
      if (byId.has(id) && range.some((end) => end !== null)) filters.push({ id, value: range });
    }
    if (form.clean.checked) filters.push({ id: "caveats", value: true });
    if (board.copies.length > 1) filters.push({ id: "copy", value: form.copy.value });
    const visible = new Set(checked("column"));
    state.columnFilters = filters;
    state.columnVisibility = Object.fromEntries(columns.map((column) => [column.id, Boolean(column.always || visible.has(column.id))]));
  }

  // The view as the part of the address behind #, and back.
  function toHash() {
    const found = new URLSearchParams();
    for (const name of ["q", "pre", "pmin", "pmax", "ymin", "ymax"]) if (form[name].value) found.set(name, form[name].value);
    const chosen = checked("kind");
    if (chosen.join() !== usualKinds.join()) found.set("kind", chosen.join());
    if (form.clean.checked) found.set("clean", "1");
    if (board.copies.length > 1 && form.copy.value !== board.copies[0]) found.set("copy", form.copy.value);
    const visible = checked("column");
    if (visible.join() !== columns.filter((column) => shownAtFirst.has(column.id) && !column.always).map((column) => column.id).join()) found.set("columns", visible.join());
    const [order] = state.sorting;
    if (order.id !== usualOrder[0].id || order.desc !== usualOrder[0].desc) found.set("sort", `${order.desc ? "-" : ""}${order.id}`);
    const { pageIndex, pageSize } = state.pagination;
    if (pageSize !== usualSize) found.set("size", pageSize);
    if (pageIndex) found.set("page", pageIndex + 1);
    return found.toString();
  }
  function fromHash() {
    const found = new URLSearchParams(location.hash.slice(1));
    form.reset();
    for (const name of ["q", "pre", "pmin", "pmax", "ymin", "ymax"]) if (found.has(name)) form[name].value = found.get(name);
    for (const [name, key] of [["kind", "kind"], ["column", "columns"]]) {
      if (!found.has(key)) continue;
      const chosen = found.get(key).split(",");
      for (const box of form.querySelectorAll(`[name=${name}]`)) box.checked = chosen.includes(box.value);
    }
    form.clean.checked = found.has("clean");
    if (board.copies.length > 1) form.copy.value = board.copies.includes(found.get("copy")) ? found.get("copy") : board.copies[0];
    const order = found.get("sort") ?? "";
    const id = order.replace(/^-/, "");
    state.sorting = byId.has(id) ? [{ id, desc: order.startsWith("-") }] : usualOrder;
    const size = Number(found.get("size")) || usualSize;
    sizes.value = [...sizes.options].some((option) => Number(option.value) === size) ? size : usualSize;
    state.pagination = { pageIndex: Math.max((Number(found.get("page")) || 1) - 1, 0), pageSize: Number(sizes.value) };
    fromForm();
    render();
  }
  function remember() {
    const hash = toHash();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }
  function changed() {
    fromForm();
    state.pagination = { ...state.pagination, pageIndex: 0 };
    render();
    remember();
  }

  // What is seen.
  const thead = place.querySelector("thead");
  const tbody = place.querySelector("tbody");
  const pager = place.querySelector(".pager");
  const sizes = pager.querySelector("select");
  const visibleColumns = () => columns.filter((column) => state.columnVisibility[column.id] !== false);

  function sortBy(column) {
    const [order] = state.sorting;
    const first = column.firstDown ?? (column.number === true && column.id !== "rank");
    state.sorting = [{ id: column.id, desc: order.id === column.id ? !order.desc : first }];
    state.pagination = { ...state.pagination, pageIndex: 0 };
    render();
    remember();
    thead.querySelector(`[data-column="${CSS.escape(column.id)}"]`)?.focus();
  }
  function renderHead() {
    const [order] = state.sorting;
    thead.replaceChildren(element("tr", {}, ...visibleColumns().map((column) => {
      const button = element("button", { type: "button", title: column.about ?? "", "data-column": column.id, onclick: () => sortBy(column) }, column.title);
      const cell = element("th", { scope: "col", className: column.number ? "number" : "" }, button);
      if (order.id === column.id) cell.setAttribute("aria-sort", order.desc ? "descending" : "ascending");
      return cell;
    })));
  }
  function render() {
    apply();
    const pages = Math.max(table.getPageCount(), 1);
    if (state.pagination.pageIndex >= pages) {
      state.pagination = { ...state.pagination, pageIndex: pages - 1 };
      apply();
    }
    renderHead();
    const visible = visibleColumns();
    tbody.replaceChildren(...table.getRowModel().rows.map(({ original }) => element("tr", { "data-row": original.id }, ...visible.map((column) => {
      const classes = [column.number && "number", column.id === "name" && "name"].filter(Boolean).join(" ");
      return element("td", { className: classes }, column.cell(original));
    }))));
    const left = table.getFilteredRowModel().rows.length;
    document.getElementById("count").textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
    document.getElementById("page").textContent = `Page ${state.pagination.pageIndex + 1} of ${pages}`;
    for (const button of pager.querySelectorAll("[data-page]")) {
      const last = ["next", "last"].includes(button.dataset.page);
      button.disabled = state.pagination.pageIndex === (last ? pages - 1 : 0);
    }
    plotSoon();
  }
  pager.addEventListener("click", (event) => {
    const where = event.target.dataset.page;
    if (!where) return;
    const { pageIndex } = state.pagination;
    const last = table.getPageCount() - 1;
    state.pagination = { ...state.pagination, pageIndex: { first: 0, previous: pageIndex - 1, next: pageIndex + 1, last }[where] };
    render();
    remember();
  });
  sizes.addEventListener("change", () => {
    state.pagination = { pageIndex: 0, pageSize: Number(sizes.value) };
    render();
    remember();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", changed);
  form.addEventListener("reset", () => setTimeout(() => {
    state.sorting = usualOrder;
    changed();
  }));
  form.querySelector("[data-copy-link]").addEventListener("click", (event) => FerBench.copy(location.href, event.target));
  window.addEventListener("hashchange", fromHash);

  // Plots of what the filters leave; drawn when there is time.
  let waiting = 0;
  function plotSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(plot, 60);
  }
  const scaled = (value) => (board.percent ? 100 * value : value);
  const scoreTitle = board.metric + (board.unit ? ` (${board.unit})` : "");
  const costs = board.columns.filter((column) => column.cost);
  const costChoice = form.ownerDocument.querySelector("[name=cost]");
  for (const column of costs) costChoice.append(element("option", { value: column.key }, column.title));
  costChoice.addEventListener("change", plot);

  function plot() {
    const left = table.getSortedRowModel().rows.map((row) => row.original);
    plotIntervals(table.getRowModel().rows.map((row) => row.original).slice(0, INTERVALS));
    if (costs.length) plotCosts(left.filter((row) => row.value !== null));
    document.getElementById("costs").closest("figure").hidden = !costs.length;
  }
  function plotIntervals(first) {
    const some = first.filter((row) => row.value !== null);
    const label = `${scoreTitle} of ${some.length} rows with 95 % intervals; the table above has the numbers.`;
    FerBench.charts.draw(document.getElementById("intervals"), label, ({ series, quiet }) => ({
      type: "scatter",
      data: {
        datasets: [
          { label: "mean", data: some.map((row, y) => ({ x: scaled(row.value), y, row })), backgroundColor: series[0], pointRadius: 5, pointHoverRadius: 6 },
          { label: "seeds", data: some.flatMap((row, y) => (row.each ?? []).map((value) => ({ x: scaled(value), y, row }))), borderColor: series[1], backgroundColor: "transparent", pointRadius: 4, pointStyle: "circle" },
          { label: "95 % interval", data: some.flatMap((row, y) => (row.interval ? [...row.interval.map((x) => ({ x: scaled(x), y, row })), { x: NaN, y: NaN }] : [])), showLine: true, borderColor: quiet, borderWidth: 2, pointRadius: 0, pointHitRadius: 0, pointStyle: "line" },
        ],
      },
      options: {
        scales: {
          x: { title: { text: scoreTitle } },
          y: { reverse: true, min: -0.5, max: some.length - 0.5, grid: { display: false }, afterBuildTicks: (axis) => (axis.ticks = some.map((_, value) => ({ value }))), ticks: { autoSkip: false, font: { size: 11 }, callback: (value) => some[value]?.short ?? "" } },
        },
        plugins: { tooltip: { callbacks: { label: ({ raw }) => `${raw.row.name}: ${raw.x.toFixed(board.percent ? 2 : 3)}` } } },
      },
    }));
  }
  // A row far below all others would leave no room to tell these apart.
  function farFrom(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const [low, high] = [0.25, 0.75].map((share) => sorted[Math.floor(share * (sorted.length - 1))]);
    const reach = 3 * (high - low);
    return (value) => sorted.length > 10 && reach > 0 && (board.higherIsBetter ? value < low - reach : value > high + reach);
  }
  function plotCosts(left) {
    const column = costs.find((one) => one.key === costChoice.value) ?? costs[0];
    const down = column.key !== "images_per_second";
    const far = farFrom(left.map((row) => row.value));
    const points = left.filter((row) => row.numbers[column.key] > 0 && !far(row.value)).map((row) => ({ x: row.numbers[column.key], y: scaled(row.value), row }));
    const better = (a, b) => (board.higherIsBetter ? a > b : a < b);
    const front = [];
    for (const point of [...points].sort((a, b) => (down ? a.x - b.x : b.x - a.x) || (better(a.y, b.y) ? -1 : 1))) {
      if (!front.length || better(point.y, front.at(-1).y)) front.push(point);
    }
    const names = front.map(({ row }) => row.short).join("; ");
    FerBench.charts.draw(document.getElementById("costs"), `${scoreTitle} against ${column.title} of ${points.length} rows. Not surpassed in both: ${names}. Rows far behind all others are left out.`, ({ series, quiet }) => ({
      type: "scatter",
      data: {
        datasets: [
          ...Object.entries(kinds).map(([kind, title], i) => ({ label: title, data: points.filter((point) => point.row.kind === kind), backgroundColor: series[i % series.length], borderColor: series[i % series.length], pointStyle: FerBench.charts.POINTS[i], pointRadius: 5, pointHoverRadius: 7 })).filter((set) => set.data.length),
          { label: "not surpassed", data: front, showLine: true, stepped: down ? "before" : "after", borderColor: quiet, borderDash: [5, 4], borderWidth: 1.5, pointRadius: 0, pointHitRadius: 0, pointStyle: "line" },
        ],
      },
      options: {
        onClick: (event, found, chart) => {
          const hit = found.map(({ datasetIndex, index }) => chart.data.datasets[datasetIndex].data[index].row)[0];
          if (hit) location.href = pageOf(hit);
        },
        scales: { x: { type: "logarithmic", title: { text: column.title }, ticks: { maxRotation: 0, callback: (value) => ("125".includes(String(value.toPrecision(1))[value < 1 ? String(value.toPrecision(1)).length - 1 : 0]) ? String(Number(value.toPrecision(2))) : "") } }, y: { title: { text: scoreTitle } } },
        plugins: { tooltip: { callbacks: { label: ({ raw }) => `${raw.row.name}: ${raw.y.toFixed(board.percent ? 2 : 3)} at ${raw.x.toFixed(2)}` } } },
      },
    }));
  }

  place.hidden = false;
  fromHash();
});
