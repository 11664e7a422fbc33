// The page: tables, the slider, the navigation. The explorer of stations is in explorer.js; both run in one closure.
const byId = (id) => document.getElementById(id);
const read = (id) => (byId(id) ? JSON.parse(byId(id).textContent) : null);
const SVG = new Set(["svg", "path", "text", "line", "g"]);
const PAGE = 60; // rows drawn at a time
const FINGER = 22; // pixels around a finger's tip

// An element with attributes and children; text is always text.
function make(tag, attributes = {}, ...children) {
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function format(value, digits) {
  if (value === null || value === undefined) return "–";
  if (digits === undefined) return value;
  const [whole, rest] = Math.abs(value).toFixed(digits).split(".");
  const grouped = whole.length > 4 || digits === 0 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  const text = rest ? `${grouped}.${rest}` : grouped;
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

const words = new Intl.Collator("en", { numeric: true });
const isMissing = (value) => value === null || value === undefined || value === "–" || value === "";

// Numbers as numbers, texts as texts, what is missing last in both directions.
function sorted(rows, valueOf, down) {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [valueOf(a), valueOf(b)];
    if (isMissing(x) || isMissing(y)) return isMissing(x) - isMissing(y);
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : words.compare(x, y));
  });
}

function save(name, rows) {
  const quoted = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would run a text that begins like a formula.
    const safe = typeof value === "string" && /^[=+@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const text = rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  make("a", { href: address, download: `${name.replace(/[^\w.-]+/g, "_")}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Sorting by one of a table's headings; `apply(column, down)` does it.
function sortable(heads, apply) {
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", title: "Sort" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      apply(column, down);
    });
  });
}

const heading = (column) => [column.label, column.sub, column.unit && `(${column.unit})`].filter(Boolean).join(" ");

// A table drawn from columns of values, as far as one has scrolled. opened : what a click on a row's name does.
function table(box, spec, opened) {
  const { columns, values } = spec;
  const count = values.length ? values[0].length : 0;
  const chosen = spec.filters.map((filter) => filter.options[0][0]);
  let rows = [], drawn = 0, order = null, isWide = false;
  const body = make("tbody"), groups = make("tr"), heads = columns.map((column) => make("th", { scope: "col", class: column.digits === undefined && "words" },
    ...(column.sub ? [make("small", { class: column.mark }, column.sub)] : [column.label, ...(column.unit ? [make("small", {}, column.unit)] : [])])));
  const isShown = (column) => !column.hidden && (isWide || !column.extra);
  const shown = () => columns.map((_, j) => j).filter((j) => isShown(columns[j]));
  const scroll = make("div", { class: "scroll", tabindex: "0", onscroll: () => {
    if (scroll.scrollTop + scroll.clientHeight > scroll.scrollHeight - 400) draw();
  } }, make("table", {}, make("thead", {}, groups, make("tr", {}, ...heads)), body));

  function cell(row, j, isFirst) {
    const text = format(values[j][row], columns[j].digits);
    if (isFirst) return make("th", { scope: "row" }, opened ? make("button", { type: "button", onclick: () => opened(row) }, text) : text);
    const kind = columns[j].digits === undefined ? `words ${["better", "worse"].includes(text) ? text : ""}` : "";
    return make("td", { class: kind.trim() || false }, text);
  }
  function draw() {
    const visible = shown();
    body.append(...rows.slice(drawn, drawn + PAGE).map((row) => make("tr", {}, ...visible.map((j, k) => cell(row, j, k === 0)))));
    drawn = Math.min(drawn + PAGE, rows.length);
    if (!rows.length) body.append(make("tr", {}, make("td", { class: "words", colspan: visible.length }, "no rows")));
  }
  function update() {
    rows = Array.from({ length: count }, (_, row) => row);
    spec.filters.forEach((filter, f) => { rows = rows.filter((row) => values[filter.column][row] === chosen[f]); });
    if (order) rows = sorted(rows, (row) => values[order[0]][row], order[1]);
    heads.forEach((head, j) => { head.hidden = !isShown(columns[j]); });
    const over = []; // scores above the fields that have them
    for (const j of shown()) {
      const name = columns[j].sub ? heading({ ...columns[j], sub: "" }) : "";
      if (over.length && over.at(-1).name === name) over.at(-1).span += 1;
      else over.push({ name, span: 1 });
    }
    groups.hidden = over.every(({ name }) => !name);
    groups.replaceChildren(...over.map(({ name, span }) => (name ? make("th", { colspan: span, scope: "colgroup" }, name) : make("td", { colspan: span }))));
    body.replaceChildren();
    scroll.scrollTop = drawn = 0;
    draw();
  }
  sortable(heads, (column, down) => { order = [column, down]; update(); });
  heads.forEach((head, j) => head.firstChild.setAttribute("aria-label", `${heading(columns[j])}, sort`));
  const selects = spec.filters.map((filter, f) => make("label", {}, filter.label, make("select", {
    onchange: (event) => { chosen[f] = event.target.value; update(); },
  }, ...filter.options.map(([value, label]) => make("option", { value }, label)))));
  const all = columns.some((column) => column.extra) ? [make("label", {}, make("input", {
    type: "checkbox", onchange: (event) => { isWide = event.target.checked; update(); },
  }), "all scores")] : [];
  const file = () => [spec.file, ...chosen].join("_");
  const down = make("button", { type: "button", onclick: () => save(file(), [shown().map((j) => heading(columns[j])),
    ...rows.map((row) => shown().map((j) => values[j][row]))]) }, "Download CSV");
  box.replaceChildren(...(selects.length ? [make("div", { class: "controls" }, ...selects)] : []), scroll,
    make("div", { class: "tools" }, ...all, down));
  update();
}

// Sorting and saving of a table that is written in the page.
function enhance(element) {
  const lines = [...element.tHead.rows], body = element.tBodies[0];
  const all = [...body.rows], kept = all.filter((row) => row.classList.contains("total"));
  const last = [...lines.at(-1).cells], first = lines.length > 1 ? [...lines[0].cells] : [];
  const heads = [...first.filter((cell) => cell.rowSpan > 1), ...last];
  const groups = first.flatMap((cell) => Array(cell.rowSpan > 1 ? 1 : cell.colSpan).fill(cell.rowSpan > 1 ? "" : cell.textContent));
  const names = heads.map((head, j) => [groups[j], head.textContent].filter(Boolean).join(" "));
  const valueOf = (cell) => {
    const text = cell.textContent.trim(), number = text.replace(/[\u202f\s%]/g, "").replace("−", "-");
    return number !== "" && isFinite(number) ? Number(number) : text;
  };
  sortable(heads, (column, down) => {
    const rows = all.filter((row) => !kept.includes(row));
    body.append(...sorted(rows, (row) => valueOf(row.cells[column]), down), ...kept);
  });
  const title = element.closest("section")?.id ?? "table";
  element.closest(".scroll").after(make("div", { class: "tools" }, make("button", {
    type: "button", onclick: () => save(title, [names, ...[...body.rows].map((row) => [...row.cells].map(valueOf))]),
  }, "Download CSV")));
}

function slider() {
  const content = read("slider");
  if (!content) return;
  const range = byId("slider-range"), play = byId("slider-play"), out = byId("slider-time");
  const images = [...document.querySelectorAll("#slider-view .frames img")];
  // Decoded beforehand, so that no step waits for its picture.
  const ready = content.fields.map((field) => field.frames.map((frame) => Object.assign(new Image(), { src: frame })));
  ready.flat().forEach((image) => image.decode().catch(() => {}));
  let timer = null;
  function show() {
    const k = Number(range.value);
    content.fields.forEach((field, f) => {
      const source = field.frames[field.at[k]];
      if (images[f].src !== source) images[f].src = source;
    });
    out.textContent = `${content.times[k].slice(0, 16).replace("T", " ")} UTC`;
    range.setAttribute("aria-valuetext", out.textContent);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }
  range.addEventListener("input", show);
  range.addEventListener("pointerdown", stop);
  play.addEventListener("click", () => {
    if (timer) return stop();
    const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 280;
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % content.times.length;
      show();
    }, pause);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  });
  show();
}

function navigation() {
  const links = new Map([...document.querySelectorAll('nav a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
    links.forEach((link, name) => (name === target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    const link = links.get(target.id);
    if (link) link.parentElement.scrollLeft = link.offsetLeft - 0.4 * innerWidth;
  }), { rootMargin: "-20% 0px -75%" });
  document.querySelectorAll("section").forEach((section) => watch.observe(section));
}

slider();
explorer();
document.querySelectorAll("[data-table]").forEach((box) => table(box, read(`table-${box.dataset.table}`)));
document.querySelectorAll("main .scroll > table").forEach((element) => { if (element.tHead && !element.closest(".table, .card")) enhance(element); });
navigation();
