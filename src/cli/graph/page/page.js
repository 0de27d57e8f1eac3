// Draws the system that the page carries, and lights in it what is asked for.

const byId = id => document.getElementById(id);
const system = JSON.parse(byId("system").textContent);
const canvas = byId("canvas");
const {places, lines} = layout(system.nodes, system.edges);
const numbers = new Map(system.nodes.flatMap((node, number) => (node.isKey ? [[node.id, number]] : [])));

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS(canvas.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// What there is.

const arrows = {event: "open-arrow", broken: "bar"};
const paths = system.edges.map((edge, number) => {
  const title = shape("title", {}, `${system.nodes[edge.from].id} → ${system.nodes[edge.to].id}${edge.said ? ": " + edge.said : ""}`);
  const ends = {"data-from": system.nodes[edge.from].id, "data-to": system.nodes[edge.to].id};
  const arrow = `url(#${arrows[edge.kind] ?? "arrow"})`;
  return shape("path", {class: `line ${edge.kind}`, d: lines[number], "marker-end": arrow, ...ends}, title);
});
byId("lines").append(...paths);

const calls = system.nodes.map(() => []);
const callers = system.nodes.map(() => []);
system.edges.forEach((edge, number) => {
  calls[edge.from].push(number);
  callers[edge.to].push(number);
});
const worst = system.nodes.map(() => null);
for (const finding of [...system.findings].reverse()) {
  for (const service of finding.path.filter(service => numbers.has(service))) worst[numbers.get(service)] = finding.severity;
}

function boxOf(node, {x, y, width, height}) {
  const radius = {service: 6, missing: 6, workload: 0, external: height / 2}[node.kind];
  const box = [shape("rect", {class: `box ${node.kind}`, x, y, width, height, rx: radius})];
  if (node.kind === "workload") box.push(shape("path", {class: "box workload", d: `M${x + 6} ${y}V${y + height}M${x + width - 6} ${y}V${y + height}`}));
  return box;
}

const flags = {error: "M0-8L8 0L0 8L-8 0z", warning: "M0-8L8 6H-8z", info: "M0-6A6 6 0 0 1 0 6A6 6 0 0 1 0-6z"};

const boxes = system.nodes.map((node, number) => {
  const place = places[number];
  const label = `${node.name}, ${node.note}: ${counted(callers[number].length, "caller")}, calls ${calls[number].length}` +
    (worst[number] ? `, ${worst[number]}` : "");
  const made = shape("g", {class: "node", role: "button", tabindex: -1, "aria-pressed": "false", "aria-label": label, "data-id": node.id},
    shape("title", {}, node.id),
    shape("rect", {class: "ring", x: place.x - 5, y: place.y - 5, width: place.width + 10, height: place.height + 10, rx: 9}),
    ...boxOf(node, place),
    shape("text", {class: "name", x: place.x + 13, y: place.y + 20}, shortened(node.name)),
    shape("text", {class: "note", x: place.x + 13, y: place.y + 36}, shortened(node.note)));
  if (worst[number]) {
    made.classList.add(worst[number]);
    made.append(shape("path", {class: "flag", d: flags[worst[number]], transform: `translate(${place.x + place.width - 3} ${place.y + 1})`}));
  }
  made.addEventListener("click", () => lightService(number));
  return made;
});
byId("boxes").append(...boxes);

const items = system.findings.map((finding, number) => {
  const button = element("button", {type: "button", "aria-pressed": "false", "data-finding": number, "data-kind": finding.kind},
    element("span", {class: "severity"}, finding.severity), " ",
    element("span", {class: "finding-kind"}, finding.kind),
    element("span", {class: "finding-text"}, finding.message),
    element("span", {class: "advice"}, `${finding.why} ${finding.cure}`));
  button.addEventListener("click", () => lightFinding(number));
  return element("li", {class: finding.severity}, button);
});
const none = element("li", {class: "none"}, system.findings.length ? "None of them." : "Nothing is found.");
byId("list").append(...items, none);

const words = {required: "call", optional: "optional call", broken: "call that cannot be made", event: "event"};
const rows = system.edges.map(edge => {
  const texts = [system.nodes[edge.from].id, system.nodes[edge.to].id, words[edge.kind], edge.said];
  return element("tr", {}, ...texts.map(text => element("td", {}, text)));
});
byId("rows").append(...rows);

function options(select, values) {
  for (const value of [...new Set(values)]) select.append(element("option", {value}, value));
}
options(byId("namespace"), system.nodes.map(node => node.namespace).filter(Boolean).sort());
options(byId("kind"), system.findings.map(finding => finding.kind));

function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// What is lit: the path of a finding, or a service with its neighbours.

let lit = null;

/** Nodes and edges that belong to a finding: its path; of one service that many call, these calls. */
function pathOf(finding) {
  const steps = finding.path.slice(1).map((to, at) => [finding.path[at], to]);
  if (finding.path.length === 1) steps.push(...finding.services.map(from => [from, finding.path[0]]));
  const wanted = new Set(steps.map(step => step.join(" ")));
  const isOnIt = edge => wanted.has(`${system.nodes[edge.from].id} ${system.nodes[edge.to].id}`);
  const nodes = finding.path.length === 1 ? finding.services : finding.path;
  return {
    nodes: new Set(nodes.filter(id => numbers.has(id)).map(id => numbers.get(id))),
    edges: new Set(system.edges.flatMap((edge, number) => (isOnIt(edge) ? [number] : []))),
  };
}

function around(number) {
  const edges = new Set([...calls[number], ...callers[number]]);
  const ends = [...edges].flatMap(edge => [system.edges[edge].from, system.edges[edge].to]);
  return {nodes: new Set([number, ...ends]), edges};
}

function light(next) {
  lit = next;
  boxes.forEach((box, number) => {
    box.classList.toggle("lit", Boolean(lit?.nodes.has(number)));
    box.classList.toggle("start", lit?.service === number);
    box.setAttribute("aria-pressed", String(lit?.service === number));
  });
  paths.forEach((path, number) => path.classList.toggle("lit", Boolean(lit?.edges.has(number))));
  items.forEach((item, number) => item.firstChild.setAttribute("aria-pressed", String(lit?.finding === number)));
  // What is lit is drawn last, above what crosses it.
  byId("lines").append(...paths.filter(path => path.classList.contains("lit")));
  byId("about").hidden = !lit?.about;
  byId("about").replaceChildren(...(lit?.about ?? []).map(line => element("p", {}, ...line)));
  fade();
}

function lightFinding(number) {
  if (lit?.finding === number) return light(null);
  light({finding: number, ...pathOf(system.findings[number])});
  show(lit.nodes);
}

function lightService(number) {
  if (lit?.service === number) return light(null);
  const node = system.nodes[number];
  const names = (edges, end, isEvent) => {
    const meant = edges.filter(edge => (system.edges[edge].kind === "event") === isEvent);
    return [...new Set(meant.map(edge => system.nodes[system.edges[edge][end]].id))].join(", ");
  };
  const told = [
    ["Called by ", names(callers[number], "from", false) || "nobody"],
    ["Calls ", names(calls[number], "to", false) || "nobody"],
    ["Reads events of ", names(callers[number], "from", true)],
    ["Its events are read by ", names(calls[number], "to", true)],
  ];
  const about = [[element("strong", {}, node.name), ` ${node.note}`], ...told.filter(([, of]) => of)];
  light({service: number, about, ...around(number)});
  focusable(number);
  show(lit.nodes, number);
}

// What is shown: parts of a name, one namespace, one kind of finding.

let shown = new Set(boxes.keys());

function narrow() {
  const [name, namespace, kind] = ["search", "namespace", "kind"].map(id => byId(id).value.trim().toLowerCase());
  const found = system.findings.filter(finding => !kind || finding.kind.toLowerCase() === kind);
  const concerned = new Set(found.flatMap(finding => finding.services));
  const isShown = (node, number) =>
    (!name || node.id.toLowerCase().includes(name)) &&
    (!namespace || (node.namespace ? node.namespace === namespace : callers[number].some(edge => system.nodes[system.edges[edge].from].namespace === namespace))) &&
    (!kind || concerned.has(node.id));
  shown = new Set(system.nodes.flatMap((node, number) => (isShown(node, number) ? [number] : [])));
  const all = shown.size === system.nodes.length;
  const touches = finding => all || finding.services.some(id => shown.has(numbers.get(id)));
  const told = system.findings.map(finding => found.includes(finding) && touches(finding));
  items.forEach((item, number) => { item.hidden = !told[number]; });
  none.hidden = told.some(Boolean);
  rows.forEach((row, number) => { row.hidden = !isBetween(system.edges[number]); });
  const services = of => [...of].filter(number => system.nodes[number].kind === "service").length;
  const total = services(boxes.keys());
  byId("shown").textContent = `${all ? "" : services(shown) + " of "}${counted(total, "service")}, ` +
    `${counted(rows.filter(row => !row.hidden).length, "edge")}, ${counted(told.filter(Boolean).length, "finding")}`;
  fade();
  focusable([...shown][0]);
  show(shown);
}

function isBetween(edge) {
  return shown.has(edge.from) && shown.has(edge.to);
}

function fade() {
  boxes.forEach((box, number) => box.classList.toggle("away", lit ? !lit.nodes.has(number) : !shown.has(number)));
  paths.forEach((path, number) => path.classList.toggle("away", lit ? !lit.edges.has(number) : !isBetween(system.edges[number])));
}

// Where one looks from.

const view = {x: 0, y: 0, scale: 1};

function draw() {
  byId("view").setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

/** The part of the canvas that nothing covers. */
function room() {
  const {width, height} = canvas.getBoundingClientRect();
  const key = document.querySelector(".key").getBoundingClientRect().height;
  const about = byId("about");
  const top = about.hidden ? 0 : about.offsetTop + about.offsetHeight;
  return {width, top, height: height - key - top};
}

function extent(nodes) {
  const all = [...nodes].map(number => places[number]);
  const [left, top] = [Math.min(...all.map(place => place.x)), Math.min(...all.map(place => place.y))];
  const [right, bottom] = [Math.max(...all.map(place => place.x + place.width)), Math.max(...all.map(place => place.y + place.height))];
  return {left, top, right, bottom, width: right - left, height: bottom - top};
}

/** The scale at which all of these are seen; no larger than life. */
function scaleFor({width, height}, free) {
  const margin = 36;
  return Math.max(0.02, Math.min(1.15, (free.width - 2 * margin) / width, (free.height - 2 * margin) / height));
}

/** Puts the middle of these into the middle. */
function centre({left, top, width, height}, free, scale) {
  view.scale = scale;
  view.x = free.width / 2 - (left + width / 2) * scale;
  view.y = free.top + free.height / 2 - (top + height / 2) * scale;
  draw();
}

function fit(nodes) {
  if (nodes.size === 0) return;
  const [all, free] = [extent(nodes), room()];
  centre(all, free, scaleFor(all, free));
}

/** Moves only if some of these are not to be seen, or too small to be read; if all would be, to the one. */
function show(nodes, one) {
  if (nodes.size === 0) return;
  const readable = 0.7;
  const [all, free] = [extent(nodes), room()];
  const isSeen = all.left * view.scale + view.x >= 0 && all.top * view.scale + view.y >= free.top &&
    all.right * view.scale + view.x <= free.width && all.bottom * view.scale + view.y <= free.top + free.height;
  if (isSeen && view.scale >= readable) return;
  const scale = scaleFor(all, free);
  if (one === undefined || scale >= readable) return centre(all, free, scale);
  const own = extent(new Set([one]));
  const row = {...own, left: all.left, width: all.width};
  centre(scaleFor(row, free) < readable ? own : row, free, readable);
}

function zoom(factor, at) {
  const free = room();
  const {x, y} = at ?? {x: free.width / 2, y: free.top + free.height / 2};
  const scale = Math.max(0.02, Math.min(4, view.scale * factor));
  view.x = x - (x - view.x) * (scale / view.scale);
  view.y = y - (y - view.y) * (scale / view.scale);
  view.scale = scale;
  draw();
}

canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const frame = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), {x: event.clientX - frame.left, y: event.clientY - frame.top});
}, {passive: false});

let drag = null;
canvas.addEventListener("pointerdown", event => {
  if (event.button === 0 && !event.target.closest(".node")) drag = {x: event.clientX - view.x, y: event.clientY - view.y};
});
window.addEventListener("pointermove", event => {
  if (!drag) return;
  canvas.classList.add("dragged");
  view.x = event.clientX - drag.x;
  view.y = event.clientY - drag.y;
  draw();
});
window.addEventListener("pointerup", () => {
  drag = null;
  canvas.classList.remove("dragged");
});

byId("in").addEventListener("click", () => zoom(1.3));
byId("out").addEventListener("click", () => zoom(1 / 1.3));
byId("all").addEventListener("click", () => fit(new Set(boxes.keys())));
window.addEventListener("resize", () => show(shown));

// Keys: one service is reached by Tab, the others from there by arrows.

function focusable(number) {
  boxes.forEach((box, other) => box.setAttribute("tabindex", other === number ? 0 : -1));
}

const middle = ({x, y, width, height}) => ({x: x + width / 2, y: y + height / 2});

/** The nearest that is shown in this direction: left and right change the column, up and down stay in it. */
function nearest(number, key) {
  const here = places[number];
  const step = {ArrowLeft: -1, ArrowRight: 1}[key] ?? 0;
  const down = {ArrowUp: -1, ArrowDown: 1}[key] ?? 0;
  const isThere = other => {
    const place = places[other];
    return step ? Math.sign(place.column - here.column) === step : place.column === here.column && Math.sign(place.y - here.y) === down;
  };
  const far = other => {
    const place = places[other];
    return Math.abs(place.column - here.column) * 1e6 + Math.abs(middle(place).y - middle(here).y);
  };
  const candidates = [...shown].filter(isThere);
  return candidates.sort((a, b) => far(a) - far(b))[0];
}

byId("boxes").addEventListener("keydown", event => {
  const number = boxes.indexOf(event.target);
  if (number < 0) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    lightService(number);
  }
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const next = nearest(number, event.key);
  if (next === undefined) return;
  focusable(next);
  boxes[next].focus({preventScroll: true});
  show(new Set([next]));
});

document.addEventListener("keydown", event => {
  if (event.key === "Escape" && lit) return light(null);
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoom(1.3);
  if (event.key === "-") zoom(1 / 1.3);
  if (event.key === "0") fit(new Set(boxes.keys()));
});

byId("filters").addEventListener("input", narrow);
byId("filters").addEventListener("submit", event => {
  event.preventDefault();
  const first = [...shown][0];
  if (first !== undefined && lit?.service !== first) lightService(first);
});

narrow();
fit(new Set(boxes.keys()));
