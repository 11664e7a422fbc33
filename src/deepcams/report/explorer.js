// The stations: a map to point at, and a card for one of them with its scores and series.
const BETTER_WORSE = ["#0072b2", "#7db8dc", "#dedede", "#eba06a", "#c84f00"];
const FOUND = 8; // stations that a search lists
const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
function colour(ramp, part) {
  const at = Math.min(Math.max(part, 0), 1) * (ramp.length - 1), k = Math.min(Math.floor(at), ramp.length - 2);
  const mix = [1, 3, 5].map((j) => {
    const [a, b] = [ramp[k], ramp[k + 1]].map((hex) => parseInt(hex.slice(j, j + 2), 16));
    return Math.round(a + (b - a) * (at - k));
  });
  return `rgb(${mix})`;
}
function quantile(values, part) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  return known.length ? known[Math.round(part * (known.length - 1))] : 0;
}

// What the colours can show: a label, and a value of each station at a resolution.
function choices(content) {
  const { columns, names, scores, shown } = content, fields = Object.keys(names);
  const of = (resolution, field, key) => scores[resolution][columns[key].shared ? fields[0] : field][key];
  const found = [];
  const add = (group, key, ways) => found.push({ group, key, ...columns[key], ...ways });
  if (fields.length > 1) {
    for (const [key, better] of Object.entries(shown)) {
      if (!columns[key]) continue;
      const size = better === "zero" ? Math.abs : (value) => value;
      add(`${names.product} − ${names.cams}`, key, { ramp: better === "high" ? [...BETTER_WORSE].reverse() : BETTER_WORSE, isCentred: true,
        ends: better === "high" ? ["worse", "better"] : ["better", "worse"], label: better === "zero" ? `|${columns[key].label}|` : columns[key].label,
        values: (resolution) => of(resolution, "product", key).map((value, i) => {
          const other = of(resolution, "cams", key)[i];
          return value === null || other === null ? null : size(value) - size(other);
        }) });
    }
  }
  for (const field of fields) {
    for (const [key, better] of Object.entries(shown)) {
      if (!columns[key]) continue;
      add(names[field], key, { isCentred: better === "zero", ramp: better === "zero" ? BETTER_WORSE : RAMP, ends: ["", ""], values: (resolution) => of(resolution, field, key) });
    }
  }
  for (const key of ["n", "mean_observed"].filter((key) => columns[key])) add("Observations", key, { ramp: RAMP, ends: ["", ""], values: (resolution) => of(resolution, fields[0], key) });
  return found;
}

// A station's series: [observed, product, ...] as arrays of numbers, null where there is none.
function unpack([low, step, text], count) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)), view = new DataView(bytes.buffer);
  const all = Array.from({ length: bytes.length / 2 }, (_, k) => view.getUint16(2 * k, true));
  const values = all.map((number) => (number === 65535 ? null : low + step * number));
  return Array.from({ length: values.length / count }, (_, k) => values.slice(k * count, (k + 1) * count));
}

const isOfDays = (times) => times.length > 1 && times[1] - times[0] >= 24;
const stamp = (hour) => new Date(hour * 3600e3).toISOString().slice(0, 16).replace("T", " ");

function timeTicks(first, last, most) {
  const ticks = [];
  if (last - first > 24 * 180) {
    const start = new Date(first * 3600e3), months = (last - first) / 730;
    const step = [1, 2, 3, 4, 6, 12].find((n) => months / n <= most) ?? 12;
    for (let k = 1; k <= months + 1; k += step) ticks.push(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + k) / 3600e3);
    return ticks.filter((hour) => hour <= last).map((hour) => [hour, stamp(hour).slice(0, 7)]);
  }
  const step = [1, 3, 6, 12, 24, 48, 120, 240, 480, 720].find((n) => (last - first) / n <= (n < 24 ? most : 1.5 * most)) ?? 1440, unit = Math.min(step, 24);
  for (let hour = Math.ceil(first / unit) * unit; hour <= last; hour += step) ticks.push(hour);
  return ticks.map((hour) => [hour, step < 24 ? `${stamp(hour).slice(5, 13)}h` : stamp(hour).slice(5, 10)]);
}

// Lines over time with axes, and a cross that tells the values at an hour.
function chart(box, times, lines, names, title, digits) {
  const width = Math.max(box.clientWidth, 260), height = 220, left = 44, right = width - 6, top = 20, bottom = height - 24;
  const every = lines.flat().filter((value) => value !== null);
  const low = Math.min(0, ...every), high = Math.max(...every, low + 1e-9) + 0.04 * (Math.max(...every) - low);
  const first = times[0], last = Math.max(times.at(-1), first + 1);
  const x = (hour) => left + ((right - left) * (hour - first)) / (last - first);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
  const svg = make("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "img", "aria-label": `${title}. Arrow keys read the values.` });
  svg.append(make("text", { x: 0, y: 11, class: "head" }, title));
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
    svg.append(make("path", { d: `M${left} ${y(tick)}H${right}` }), make("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, format(Number(tick.toPrecision(6)), Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))));
  }
  for (const [hour, text] of timeTicks(first, last, (right - left) / 74)) {
    svg.append(make("path", { d: `M${x(hour)} ${bottom}v4` }));
    if (x(hour) < right - 18) svg.append(make("text", { x: x(hour), y: height - 6, "text-anchor": "middle" }, text));
  }
  lines.forEach((line, k) => {
    let isOpen = false;
    const parts = line.map((value, i) => {
      const part = value === null ? "" : `${isOpen ? "L" : "M"}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}${isOpen ? "" : "h.01"}`;
      isOpen = value !== null && !(times[i + 1] - times[i] > 1.5 * (times[1] - times[0]));
      return part;
    });
    svg.append(make("path", { class: names[k][0], d: parts.join("") }));
  });
  const cross = make("line", { class: "cross", y1: top, y2: bottom, visibility: "hidden" }), out = make("div", { class: "readout", "aria-live": "polite" });
  let at = 0;
  function point(index) {
    at = Math.min(Math.max(index, 0), times.length - 1);
    const where = x(times[at]);
    for (const [name, value] of [["x1", where], ["x2", where], ["visibility", "visible"]]) cross.setAttribute(name, value);
    out.textContent = `${isOfDays(times) ? stamp(times[at]).slice(0, 10) : `${stamp(times[at])} UTC`}: ${lines.map((line, k) => `${names[k][1]} ${format(line[at], digits)}`).join(", ")}`;
  }
  const nearest = (event) => {
    const bounds = svg.getBoundingClientRect(), hour = first + (((event.clientX - bounds.left) * width) / bounds.width - left) / (right - left) * (last - first);
    point(times.reduce((best, time, i) => (Math.abs(time - hour) < Math.abs(times[best] - hour) ? i : best), 0));
  };
  svg.append(cross);
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -24, PageDown: 24 }[event.key];
    if (!move) return;
    event.preventDefault();
    point(at + move);
  });
  const keys = make("p", {}, ...names.map(([name, label]) => make("span", { class: `key ${name}` }, label)));
  out.textContent = "Point at the lines to read their values.";
  box.replaceChildren(keys, svg, out);
}

function explorer() {
  const content = read("explorer");
  if (!content) return;
  const { map, stations, columns, names, scores } = content, series = read("series"), fields = Object.keys(names);
  const count = map.x.length, all = choices(content), resolutions = Object.keys(scores);
  const canvas = byId("explorer-map"), pen = canvas.getContext("2d"), tip = byId("explorer-tip"), card = byId("explorer-card");
  const [coast, net, edge] = [map.coast, map.net, map.edge].map((path) => new Path2D(path));
  const country = (i) => content.countries[stations.country[i]] ?? stations.country[i];
  const title = (i) => stations.name[i] || stations.station[i];
  const select = byId("explorer-score"), averaging = byId("explorer-resolution");
  for (const group of new Set(all.map((choice) => choice.group))) {
    select.append(make("optgroup", { label: group }, ...all.map((choice, k) => [choice, k]).filter(([choice]) => choice.group === group)
      .map(([choice, value]) => make("option", { value }, `${choice.label}: ${group}`))));
  }
  averaging.append(...resolutions.map((name) => make("option", { value: name }, `${name} values`)));
  let view = { k: 1, x: 0, y: 0 }, home = 1, size = [0, 0], values = [], picked = -1, isQueued = false;
  let part = () => 0.5;

  function recolour() {
    const choice = all[Number(select.value)];
    values = choice.values(averaging.value);
    let [low, high] = [quantile(values, 0.03), quantile(values, 0.97)];
    if (choice.isCentred) [low, high] = [-1, 1].map((sign) => sign * (quantile(values.map((value) => value && Math.abs(value)), 0.95) || 1));
    part = (value) => (high > low ? (value - low) / (high - low) : 0.5);
    const ends = [low, (low + high) / 2, high].map((value) => format(Number(value.toPrecision(6)), columns[choice.key].digits));
    const ramp = make("div", { class: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${choice.ramp})`;
    byId("explorer-legend").replaceChildren(`${choice.label}: ${choice.group}, ${averaging.value}${choice.unit ? ` (${choice.unit})` : ""}`, ramp,
      make("div", { class: "ends" }, ...ends.map((text, k) => make("span", {}, [text, k === 0 ? choice.ends[0] : k === 2 ? choice.ends[1] : ""].filter(Boolean).join(" ")))));
    redraw();
  }
  const place = (i) => [(map.x[i] - view.x) * view.k, (map.y[i] - view.y) * view.k];
  const radius = () => Math.min(9, (count > 3000 ? 2.1 : count > 600 ? 3 : count > 60 ? 4.5 : 6.5) * Math.sqrt(view.k / home));
  function redraw() {
    if (isQueued) return;
    isQueued = true;
    requestAnimationFrame(() => { isQueued = false; draw(); });
  }
  function draw() {
    const style = getComputedStyle(document.documentElement), css = (name) => style.getPropertyValue(name);
    const dense = devicePixelRatio || 1, { ramp } = all[Number(select.value)];
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(dense * view.k, 0, 0, dense * view.k, -dense * view.k * view.x, -dense * view.k * view.y);
    for (const [path, name, wide] of [[net, "--net", 1], [edge, "--line", 1], [coast, "--coast", 0.8]]) {
      pen.strokeStyle = css(name);
      pen.lineWidth = wide / view.k;
      pen.stroke(path);
    }
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.strokeStyle = css("--ink");
    const r = radius();
    for (const isKnown of [false, true]) { // those without a value below the others
      for (let i = 0; i < count; i++) {
        if ((values[i] !== null) !== isKnown) continue;
        const [x, y] = place(i);
        if (x < -9 || y < -9 || x > size[0] + 9 || y > size[1] + 9) continue;
        pen.beginPath();
        pen.arc(x, y, r, 0, 7);
        if (isKnown) { pen.fillStyle = colour(ramp, part(values[i])); pen.fill(); }
        pen.globalAlpha = isKnown ? 0.45 : 0.25;
        pen.lineWidth = r > 2.5 ? 0.8 : 0.35;
        pen.stroke();
        pen.globalAlpha = 1;
      }
    }
    if (picked < 0) return;
    pen.beginPath();
    pen.arc(...place(picked), r + 4, 0, 7);
    pen.lineWidth = 2.2;
    pen.stroke();
  }
  function resize() {
    const width = canvas.parentElement.clientWidth - 2, height = Math.round(Math.min((width * map.height) / map.width, Math.max(340, 0.72 * innerHeight)));
    if (!width || (width === size[0] && height === size[1])) return;
    size = [width, height];
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = size.map((length) => Math.round(length * (devicePixelRatio || 1)));
    zoom(0);
  }
  function keep() { // the map within its frame
    ["x", "y"].forEach((axis, d) => {
      const extent = [map.width, map.height][d], seen = size[d] / view.k;
      view[axis] = seen >= extent ? (extent - seen) / 2 : Math.min(Math.max(view[axis], 0), extent - seen);
    });
    canvas.style.touchAction = view.k > 1.01 * home ? "none" : "pan-y";
    redraw();
  }
  function zoom(factor, x = size[0] / 2, y = size[1] / 2) {
    home = Math.min(size[0] / map.width, size[1] / map.height);
    const k = factor ? Math.min(Math.max(view.k * factor, home), 40 * home) : home;
    view = { k, x: view.x + x / view.k - x / k, y: view.y + y / view.k - y / k };
    keep();
  }
  function nearest(event, reach) {
    const bounds = canvas.getBoundingClientRect();
    let best = -1, least = reach ** 2;
    for (let i = 0; i < count; i++) {
      const [x, y] = place(i), far = (x + bounds.left + 1 - event.clientX) ** 2 + (y + bounds.top + 1 - event.clientY) ** 2;
      if (far <= least) [best, least] = [i, far];
    }
    return best;
  }
  function pick(i, isMoved = false) {
    picked = i;
    const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(2)}°${value < 0 ? minus : plus}`;
    const words = [country(i), `${degrees(stations.latitude[i], "NS")} ${degrees(stations.longitude[i], "EW")}`, `station ${stations.station[i]}`];
    const keys = Object.keys(columns), value = (field, key) => format(scores[averaging.value][columns[key].shared ? fields[0] : field][key][i], columns[key].digits);
    const rows = keys.map((key) => make("tr", {}, make("th", { scope: "row" }, heading({ ...columns[key], sub: "" })), ...(columns[key].shared
      ? [make("td", { colspan: fields.length }, value(fields[0], key))] : fields.map((field) => make("td", {}, value(field, key))))));
    const lines = make("div", { class: "lines" });
    card.replaceChildren(make("h3", {}, title(i)), make("p", {}, words.filter(Boolean).join(" · ")), lines, make("div", { class: "scroll", tabindex: "0" },
      make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, `${averaging.value} values`), ...fields.map((field) => make("th", { scope: "col" }, make("small", { class: field }, names[field]))))), make("tbody", {}, ...rows))));
    const packed = series.series[i];
    if (packed) chart(lines, series.times, unpack(packed, series.times.length), [["observed", "observed"], ...Object.entries(names)], `${content.label} (${content.unit}), ${isOfDays(series.times) ? "daily means" : "hourly values"}`, columns.rmse?.digits ?? 2);
    else lines.append(make("p", {}, "The series of this station is not on this page; its scores are."));
    if (isMoved) { // bring it into sight
      const [x, y] = place(i);
      if (x < 0 || y < 0 || x > size[0] || y > size[1]) Object.assign(view, { x: map.x[i] - size[0] / view.k / 2, y: map.y[i] - size[1] / view.k / 2 });
      keep();
    } else redraw();
  }

  const fingers = new Map();
  let moved = 0;
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
  canvas.addEventListener("pointerdown", (event) => { if (!fingers.size) moved = 0; fingers.set(event.pointerId, event); });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (before) {
      const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY], wide = fingers.size === 2 ? spread() : 0;
      fingers.set(event.pointerId, event);
      moved += Math.abs(dx) + Math.abs(dy);
      if (wide) return zoom(spread() / wide, event.offsetX, event.offsetY);
      if (moved > 6) { canvas.setPointerCapture(event.pointerId); view.x -= dx / view.k; view.y -= dy / view.k; keep(); }
    }
    const i = event.pointerType === "touch" ? -1 : nearest(event, 12);
    tip.hidden = i < 0;
    if (i < 0) return;
    const [x, y] = place(i), choice = all[Number(select.value)];
    tip.textContent = `${title(i)}: ${format(values[i], columns[choice.key].digits)}`;
    tip.style.left = `${Math.max(0, Math.min(x + 10, size[0] - tip.offsetWidth - 2))}px`;
    tip.style.top = `${y > 40 ? y - 32 : y + 12}px`;
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) canvas.addEventListener(name, (event) => {
    const wasDown = fingers.delete(event.pointerId);
    if (name === "pointerleave") tip.hidden = true;
    if (name !== "pointerup" || !wasDown || moved > 6 || fingers.size) return;
    const i = nearest(event, FINGER);
    if (i >= 0) pick(i);
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a page scrolls with the wheel alone
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], factor = { "+": 1.6, "-": 0.625, 0: 0 }[event.key];
    if (!way && factor === undefined) return;
    event.preventDefault();
    if (!way) return zoom(factor);
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      const [dx, dy] = [map.x[i] - map.x[picked], map.y[i] - map.y[picked]], along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 0 && along + 2 * aside < least) [best, least] = [i, along + 2 * aside];
    }
    if (best >= 0) pick(best, true);
  });
  document.querySelectorAll("#explorer-view [data-zoom]").forEach((button) => button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));

  const search = byId("explorer-search"), found = byId("explorer-found");
  const texts = stations.name.map((name, i) => `${name} ${stations.station[i]} ${country(i)} ${stations.country[i]}`.toLowerCase());
  const choose = (i) => { pick(i, true); found.hidden = true; };
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase(), hits = [];
    for (let i = 0; wanted && i < count; i++) if (texts[i].includes(wanted)) hits.push(i);
    found.hidden = !wanted;
    const rest = hits.length - FOUND, words = !hits.length ? "No station of that name." : rest > 0 ? `… and ${format(rest, 0)} more` : "";
    found.replaceChildren(...hits.slice(0, FOUND).map((i) => make("li", {}, make("button", { type: "button", onclick: () => choose(i) }, `${title(i)}, ${country(i)} (${stations.station[i]})`))),
      ...(words ? [make("li", {}, words)] : []));
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") found.querySelector("button")?.click();
    if (event.key === "Escape") found.hidden = true;
  });

  const repeat = (list) => resolutions.flatMap(() => list), own = [], data = [];
  for (const key of Object.keys(columns)) for (const field of columns[key].shared ? fields.slice(0, 1) : fields) {
    own.push({ ...columns[key], extra: false, ...(columns[key].shared ? {} : { sub: names[field], mark: field }) });
    data.push(resolutions.flatMap((resolution) => scores[resolution][field][key]));
  }
  table(byId("explorer-table"), {
    file: content.file,
    columns: [{ label: "averaging", hidden: true }, { label: "Station" }, { label: "number" }, { label: "country" }, { label: "latitude (°)", digits: 2 }, { label: "longitude (°)", digits: 2 }, ...own],
    values: [resolutions.flatMap((name) => Array(count).fill(name)), repeat(stations.name.map((_, i) => title(i))), repeat(stations.station), repeat(stations.country.map((_, i) => country(i))), repeat(stations.latitude), repeat(stations.longitude), ...data],
    filters: [{ label: "Values", column: 0, options: resolutions.map((name) => [name, name]) }],
  }, (row) => { pick(row % count, true); byId("explorer-view").scrollIntoView({ block: "start" }); });

  select.addEventListener("change", recolour);
  averaging.addEventListener("change", () => { recolour(); pick(picked); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let wide = innerWidth;
  addEventListener("resize", () => { resize(); if (innerWidth !== wide) { wide = innerWidth; pick(picked); } });
  resize();
  recolour();
  pick(Math.max(0, Number(Object.keys(series.series)[0] ?? 0)));
}
