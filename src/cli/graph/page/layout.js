// Where everything stands: a column for each depth of calls, callers left of whom they call. It knows
// nothing of the page, and the same system always gives the same picture.

const size = {node: 46, between: 18, lane: 14, gap: 96, widest: 260, letter: 7.9, small: 6.7, longest: 32};

/** A name that is too long for its box, without its middle. */
function shortened(name) {
  if (name.length <= size.longest) return name;
  const half = Math.floor((size.longest - 1) / 2);
  return name.slice(0, half) + "…" + name.slice(-half);
}

function boxWidth(node) {
  return Math.ceil(Math.max(shortened(node.name).length * size.letter, shortened(node.note).length * size.small) + 26);
}

/** The column of each node. An event counts only for who is in no call: calls go round in circles with events. */
function depths(count, edges) {
  const inCalls = new Set(edges.filter(edge => edge.kind !== "event").flatMap(edge => [edge.from, edge.to]));
  const next = Array.from({length: count}, () => []);
  const entered = new Set();
  for (const {from, to, kind} of edges) {
    if (from === to || (kind === "event" && inCalls.has(to))) continue;
    next[from].push(to);
    entered.add(to);
  }
  const nodes = next.map((_, node) => node);
  const starts = [...nodes.filter(node => !entered.has(node)), ...nodes];
  const {order, forward} = walk(starts, next);
  const depth = new Array(count).fill(0);
  for (const node of order) {
    for (const to of forward[node]) depth[to] = Math.max(depth[to], depth[node] + 1);
  }
  return depth;
}

/** Callers before whom they call, and the steps without those that close a circle. */
function walk(starts, next) {
  const [fresh, open, done] = [0, 1, 2];
  const state = next.map(() => fresh);
  const forward = next.map(() => []);
  const order = [];
  for (const start of starts) {
    if (state[start] !== fresh) continue;
    const way = [{node: start, at: 0}];
    state[start] = open;
    while (way.length > 0) {
      const here = way[way.length - 1];
      if (here.at === next[here.node].length) {
        state[here.node] = done;
        order.push(here.node);
        way.pop();
        continue;
      }
      const to = next[here.node][here.at++];
      if (state[to] !== open) forward[here.node].push(to);
      if (state[to] === fresh) {
        state[to] = open;
        way.push({node: to, at: 0});
      }
    }
  }
  return {order: order.reverse(), forward};
}

/** Columns of boxes, and of lanes in which edges pass the columns between their ends. */
function columns(nodes, edges) {
  const depth = depths(nodes.length, edges);
  const list = Array.from({length: Math.max(0, ...depth) + 1}, () => []);
  const add = (column, half) => {
    const one = {column, half, left: [], right: [], y: 0, place: list[column].length};
    list[column].push(one);
    return one;
  };
  const boxes = nodes.map((_, node) => add(depth[node], (size.node + size.between) / 2));
  const chains = edges.map(({from, to}) => {
    const step = Math.sign(depth[to] - depth[from]);
    const chain = [boxes[from]];
    for (let column = depth[from] + step; step !== 0 && column !== depth[to]; column += step) {
      chain.push(add(column, size.lane / 2));
    }
    chain.push(boxes[to]);
    if (step !== 0) {
      for (let at = 1; at < chain.length; at++) {
        const [left, right] = step > 0 ? [chain[at - 1], chain[at]] : [chain[at], chain[at - 1]];
        left.right.push(right);
        right.left.push(left);
      }
    }
    return chain;
  });
  return {list, boxes, chains};
}

const mean = numbers => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Each column in the order of what its neighbours are connected with, so that few edges cross. */
function untangle(list) {
  for (let sweep = 0; sweep < 12; sweep++) {
    const side = sweep % 2 === 0 ? "left" : "right";
    for (const column of sweep % 2 === 0 ? list : [...list].reverse()) {
      const key = new Map(column.map(one => [one, one[side].length ? mean(one[side].map(other => other.place)) : one.place]));
      column.sort((a, b) => key.get(a) - key.get(b) || a.place - b.place);
      column.forEach((one, place) => { one.place = place; });
    }
  }
}

/** As near as possible to what is wanted, in this order and without an overlap: what would overlap moves as one block. */
function settle(column, wanted) {
  let reach = 0;
  const reaches = column.map((one, at) => (reach += at === 0 ? 0 : column[at - 1].half + one.half));
  const blocks = [];
  column.forEach((_, at) => {
    blocks.push({sum: wanted[at] - reaches[at], count: 1});
    while (blocks.length > 1) {
      const [before, last] = blocks.slice(-2);
      if (before.sum / before.count < last.sum / last.count) break;
      blocks.splice(-2, 2, {sum: before.sum + last.sum, count: before.count + last.count});
    }
  });
  const starts = blocks.flatMap(block => new Array(block.count).fill(block.sum / block.count));
  column.forEach((one, at) => { one.y = starts[at] + reaches[at]; });
}

function spread(list) {
  for (const column of list) settle(column, column.map(() => 0));
  for (let sweep = 0; sweep < 8; sweep++) {
    const side = sweep % 2 === 0 ? "left" : "right";
    for (const column of sweep % 2 === 0 ? list : [...list].reverse()) {
      settle(column, column.map(one => (one[side].length ? mean(one[side].map(other => other.y)) : one.y)));
    }
  }
}

/** Where on its side of the box each edge begins and ends: next to each other, in the order of where they lead. */
function ends(boxes, chains) {
  const sides = new Map(boxes.map(box => [box, {left: [], right: []}]));
  const at = chains.map(() => [0, 0]);
  chains.forEach((chain, edge) => {
    const [first, last] = [chain[0], chain[chain.length - 1]];
    const onto = (box, other) => (other.column < box.column ? "left" : "right");
    sides.get(first)[onto(first, chain[1])].push({edge, end: 0, toward: chain[1].y});
    sides.get(last)[onto(last, chain[chain.length - 2])].push({edge, end: 1, toward: chain[chain.length - 2].y});
  });
  for (const [box, {left, right}] of sides) {
    for (const side of [left, right]) {
      side.sort((a, b) => a.toward - b.toward || a.edge - b.edge);
      const step = Math.min(9, (size.node - 12) / Math.max(1, side.length - 1));
      side.forEach(({edge, end}, place) => { at[edge][end] = box.y + (place - (side.length - 1) / 2) * step; });
    }
  }
  return at;
}

/** The line of an edge: level through a column, and bent between two. */
function line(chain, [from, to], x) {
  const last = chain.length - 1;
  const n = number => Math.round(number);
  if (chain[0].column === chain[last].column) {
    const start = x[chain[0].column].right;
    const out = start + 34 + Math.min(40, Math.abs(to - from) / 8);
    return `M${n(start)} ${n(from)}C${n(out)} ${n(from)} ${n(out)} ${n(to)} ${n(start)} ${n(to)}`;
  }
  const forward = chain[0].column < chain[last].column;
  const side = (one, leaves) => (forward === leaves ? x[one.column].right : x[one.column].left);
  let text = "";
  chain.forEach((one, at) => {
    const y = at === 0 ? from : at === last ? to : one.y;
    if (at === 0) {
      text = `M${n(side(one, true))} ${n(y)}`;
      return;
    }
    const before = chain[at - 1];
    const [start, end] = [side(before, true), side(one, false)];
    const middle = n((start + end) / 2);
    text += `C${middle} ${n(at === 1 ? from : before.y)} ${middle} ${n(y)} ${n(end)} ${n(y)}`;
    if (at !== last) text += `H${n(side(one, true))}`;
  });
  return text;
}

function layout(nodes, edges) {
  const {list, boxes, chains} = columns(nodes, edges);
  untangle(list);
  spread(list);
  const standing = list.flat();
  const top = standing.reduce((least, one) => Math.min(least, one.y), 0);
  for (const one of standing) one.y -= top - size.node / 2;
  const widths = list.map((_, column) => Math.max(...nodes.filter((_, node) => boxes[node].column === column).map(boxWidth)));
  // A high picture gets wide gaps: edges that cross many rows are told apart when they are not steep.
  const height = Math.max(0, ...boxes.map(box => box.y));
  const all = widths.reduce((sum, width) => sum + width, 0);
  const gap = Math.round(Math.max(size.gap, Math.min(size.widest, (height - all) / list.length)));
  let left = 0;
  const x = widths.map(width => {
    const place = {left, right: left + width};
    left = place.right + gap;
    return place;
  });
  const at = ends(boxes, chains);
  return {
    places: boxes.map(box => ({
      x: x[box.column].left,
      y: Math.round(box.y - size.node / 2),
      width: x[box.column].right - x[box.column].left,
      height: size.node,
      column: box.column,
    })),
    lines: chains.map((chain, edge) => line(chain, at[edge], x)),
  };
}
