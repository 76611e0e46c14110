"use strict";
// The frontier of a report: shows what a dot is, and answers moved limits as the engine's own search does.
// All text reaches the page as text: nothing here writes markup.
(() => {
  const found = JSON.parse(document.getElementById("data").textContent).frontier;
  if (!found) return;
  const { leakage, overkill, review, plane, marked } = found;
  const get = (id) => document.getElementById(id);
  const figure = get("frontier-figure"), drawing = figure.querySelector("svg"), tip = get("tip"), walk = get("walk");
  const every = leakage.map((_, i) => i);
  // By rising overkill; of equal ones the least leakage, then the least review load, then what was tried first.
  const order = every.slice().sort((i, j) => overkill[i] - overkill[j] || leakage[i] - leakage[j] || review[i] - review[j] || i - j);
  const ranges = new Map(found.full.map((i, k) => [i, found.ranges[k]]));
  const x = (share) => plane.left + plane.width * share / plane.overkill;
  const y = (share) => plane.top + plane.height * (1 - share / plane.leakage);
  const level = (share) => Math.min(Math.floor(Math.sqrt(share / plane.review) * plane.sizes.length), plane.sizes.length - 1);
  const dots = every.map((i) => `M${x(overkill[i]).toFixed(1)} ${y(leakage[i]).toFixed(1)}h0`);
  const levels = every.map((i) => level(review[i]));

  // Words

  const several = found.what === "setting" ? "settings" : "strategies";

  function nameOf(i) {
    if (!found.parameters.length) return found.names[i] || found.subject;
    const said = found.parameters.map((p) => `${p.name} = ${p.words[p.at[i]]}`);
    return `${found.subject}: ${said.join(", ")}`;
  }

  function percent(share, range) {
    const [low, high] = range || [null, null], known = low !== null && high !== null;
    const width = known ? 100 * (high - low) : 0;
    const places = width > 0 ? Math.min(Math.max(Math.ceil(-Math.log10(width)) + 1, 1), 5) : 2;
    const write = (value) => (100 * value).toFixed(places);
    if (!known) return `${write(share)}\u00a0%`;
    return low === share && high === share ? `${write(share)}\u00a0% (exact)` : `${write(share)}\u00a0% [${write(low)}, ${write(high)}]`;
  }

  function numbersOf(point) {
    const [a, b, c] = point.range || [];
    return `leaks ${percent(point.leakage, a)}, wrongly refuses ${percent(point.overkill, b)}, sends ${percent(point.review, c)} to review`;
  }

  function pointOf(i) {
    return { name: nameOf(i), leakage: leakage[i], overkill: overkill[i], review: review[i], range: ranges.get(i) };
  }

  const counted = (n) => n.toLocaleString("en-US");

  function equals(point) {
    return every.filter((j) => leakage[j] === point.leakage && overkill[j] === point.overkill && review[j] === point.review).length;
  }

  // Picture

  function add(parent, name, attributes) {
    const element = document.createElementNS(drawing.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  }

  const layer = add(drawing, "g", { class: "moved", fill: "none" });
  drawing.insertBefore(layer, drawing.querySelector(".every").nextSibling);
  const kept = add(layer, "g", { class: "kept" });
  const keptOf = plane.sizes.map((size) => add(kept, "path", { "stroke-width": size }));
  const line = add(layer, "path", { class: "line" });
  const shade = add(layer, "rect", { class: "shade", y: plane.top, height: plane.height });
  const above = add(drawing, "g", { class: "above", fill: "none" });
  const best = add(above, "circle", { class: "best", r: 6 });
  const seen = add(above, "circle", { class: "seen", r: 4.5, visibility: "hidden" });

  function put(circle, point) {
    circle.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    circle.setAttribute("cx", x(point.overkill));
    circle.setAttribute("cy", y(point.leakage));
  }

  function stairs(steps) {
    return steps.map((i, k) => {
      const right = x(overkill[i]).toFixed(1), down = y(leakage[i]).toFixed(1);
      return k ? `H${right}V${down}` : `M${right} ${down}`;
    }).join("");
  }

  // Limits

  const limits = ["review", "overkill"].map((name) => ({ range: get(`${name}-range`), number: get(`${name}-number`) }));

  /** Percent as decimal text → share, exactly the number that the text shifted by two places writes; empty: no limit. */
  function shareOf(text) {
    if (text === "") return Infinity;
    return Number(/e/i.test(text) ? text / 100 : `${text}e-2`);
  }

  let steps = [];

  function answer() {
    const [most, refused] = limits.map((limit) => shareOf(limit.number.value));
    steps = [];
    for (const i of order) {
      if (review[i] <= most && (!steps.length || leakage[i] < leakage[steps[steps.length - 1]])) steps.push(i);
    }
    const chosen = steps.filter((i) => overkill[i] <= refused).pop();
    draw(most, refused, chosen);
    say(most, refused, chosen);
    walk.max = Math.max(steps.length - 1, 0);
  }

  function draw(most, refused, chosen) {
    const drawn = plane.sizes.map(() => []);
    for (const i of every) if (review[i] <= most && overkill[i] <= refused) drawn[levels[i]].push(dots[i]);
    drawn.forEach((paths, k) => keptOf[k].setAttribute("d", paths.join("")));
    line.setAttribute("d", stairs(steps));
    const edge = Math.min(x(refused), plane.left + plane.width);
    shade.setAttribute("x", edge);
    shade.setAttribute("width", plane.left + plane.width - edge);
    put(best, chosen === undefined ? null : pointOf(chosen));
  }

  function say(most, refused, chosen) {
    const fit = every.filter((i) => review[i] <= most && overkill[i] <= refused).length;
    const [a, b] = limits.map((limit) => limit.number.value === "" ? "anything" : `${limit.number.value}\u00a0%`);
    const among = `Limits: ${a} to review, ${b} overkill. ${counted(fit)} of ${counted(every.length)} ${several} keep to them`;
    if (chosen === undefined) {
      get("best-name").textContent = "Nothing keeps to these limits.";
      get("best-numbers").textContent = "";
      get("best-among").textContent = `${among}.`;
      return;
    }
    const point = pointOf(chosen), same = equals(point) - 1;
    get("best-name").textContent = point.name;
    get("best-numbers").textContent = `It ${numbersOf(point)}.`;
    get("best-among").textContent = same ? `${among}; ${counted(same)} more with the same numbers.` : `${among}.`;
  }

  function move(limit, from, to) {
    to.value = from.value;
    limit.range.setAttribute("aria-valuetext", limit.number.value === "" ? "no limit" : `${limit.number.value} %`);
    answer();
  }

  function set(values) {
    limits.forEach((limit, k) => {
      limit.number.value = values[k](limit);
      move(limit, limit.number, limit.range);
    });
  }

  for (const limit of limits) {
    limit.range.addEventListener("input", () => move(limit, limit.range, limit.number));
    limit.number.addEventListener("input", () => move(limit, limit.number, limit.range));
  }
  get("no-limits").addEventListener("click", () => set(limits.map(() => (limit) => limit.range.max)));
  get("first-limits").addEventListener("click", () => set(limits.map(() => (limit) => limit.number.defaultValue)));
  get("only").addEventListener("change", (event) => {
    drawing.querySelector(".every").setAttribute("visibility", event.target.checked ? "hidden" : "visible");
  });

  // What a dot is

  function show(point) {
    put(seen, point);
    tip.hidden = !point;
    if (!point) return;
    const more = equals(point) - 1, said = numbersOf(point);
    tip.firstElementChild.textContent = point.name;
    tip.lastElementChild.textContent = more > 0 && !point.named ? `${said}; ${counted(more)} more like it` : said;
    const box = figure.getBoundingClientRect(), matrix = drawing.getScreenCTM();
    const place = new DOMPoint(x(point.overkill), y(point.leakage)).matrixTransform(matrix);
    const left = Math.min(Math.max(place.x - box.left - tip.offsetWidth / 2, 0), box.width - tip.offsetWidth);
    const top = place.y - box.top, room = top > tip.offsetHeight + 14;
    tip.style.left = `${left}px`;
    tip.style.top = `${room ? top - tip.offsetHeight - 12 : top + 12}px`;
  }

  function nearest(event) {
    const matrix = drawing.getScreenCTM(), at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    const squared = (point) => (x(point.overkill) - at.x) ** 2 + (y(point.leakage) - at.y) ** 2;
    let closest = null, distance = (16 / matrix.a) ** 2;
    for (const point of marked) {
      if (squared(point) <= distance) [closest, distance] = [{ ...point, named: true }, squared(point)];
    }
    for (const i of order) {
      const square = (x(overkill[i]) - at.x) ** 2 + (y(leakage[i]) - at.y) ** 2;
      if (square < distance) [closest, distance] = [i, square];
    }
    return typeof closest === "number" ? pointOf(closest) : closest;
  }

  function step() {
    const point = steps.length ? pointOf(steps[Number(walk.value)]) : null;
    walk.setAttribute("aria-valuetext", point ? `${point.name}: ${numbersOf(point)}` : "nothing keeps to the limits");
    show(point);
  }

  drawing.addEventListener("pointermove", (event) => show(nearest(event)));
  drawing.addEventListener("pointerdown", (event) => show(nearest(event)));
  drawing.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(null); });
  walk.addEventListener("input", step);
  walk.addEventListener("focus", step);
  walk.addEventListener("blur", () => show(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") show(null); });

  const base = marked.find((point) => point.name === found.baseline);
  if (base) get("baseline-numbers").textContent = `${base.name}, the baseline, ${numbersOf(base)}.`;
  get("limits").hidden = false;
  get("answer").hidden = false;
  answer();
})();
