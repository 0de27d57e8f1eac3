// Pages of `graph -o html` in a real browser, opened as files. PAGES is the directory with them, CHROMIUM the
// browser.

import assert from "node:assert/strict";
import {join} from "node:path";
import {after, before, test} from "node:test";
import {pathToFileURL} from "node:url";
import {chromium} from "playwright-core";

const pages = process.env.PAGES;
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"];
let browser;

before(async () => {
  browser = await chromium.launch({executablePath: process.env.CHROMIUM, args: flags});
});
after(() => browser.close());

/** Opens a page; at its end nothing was asked for but files, and nothing was complained of. */
async function opened(name, use, options = {}) {
  const context = await browser.newContext({viewport: {width: 1440, height: 900}, ...options});
  const page = await context.newPage();
  const wrong = [];
  page.on("request", request => request.url().startsWith("file:") || wrong.push(`asks for ${request.url()}`));
  page.on("console", message => ["error", "warning"].includes(message.type()) && wrong.push(message.text()));
  page.on("pageerror", error => wrong.push(String(error)));
  await page.goto(pathToFileURL(join(pages, `${name}.html`)).href);
  try {
    await use(page);
  } finally {
    await context.close();
  }
  assert.deepEqual(wrong, []);
}

const litServices = page => page.$$eval(".node.lit", nodes => nodes.map(node => node.dataset.id).sort());
const litCalls = page => page.$$eval("#lines .lit", lines => lines.map(line => `${line.dataset.from} ${line.dataset.to}`).sort());
const data = page => page.$eval("#system", element => JSON.parse(element.textContent));

/** What a finding should light: the services of its path and the calls and events between them. */
function expected(system, finding) {
  const steps = new Set(finding.path.slice(1).map((to, at) => `${finding.path[at]} ${to}`));
  const edges = system.edges.map(edge => `${system.nodes[edge.from].id} ${system.nodes[edge.to].id}`);
  return {services: [...new Set(finding.path)].sort(), calls: edges.filter(edge => steps.has(edge)).sort()};
}

/** Ratio of luminances by WCAG of each visible text and what is behind it. */
const contrasts = page => page.evaluate(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = color => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = element => {
    if (element.closest(".node")) return getComputedStyle(element.closest(".node").querySelector(".box")).fill;
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (channels(color)[3] === 255) return color;
    }
    return "white";
  };
  const texts = [...document.querySelectorAll("body *")].filter(element =>
    !["SCRIPT", "STYLE", "NOSCRIPT", "title"].includes(element.nodeName) && element.getClientRects().length > 0 &&
    [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim()));
  return texts.map(element => {
    const style = getComputedStyle(element);
    const color = element.namespaceURI === document.body.namespaceURI ? style.color : style.fill;
    const [a, b] = [color, behind(element)].map(one => luminance(channels(one)) + 0.05);
    return {text: element.textContent.trim().slice(0, 40), ratio: Math.max(a, b) / Math.min(a, b)};
  });
});

test("the shop is shown with its findings, and no text lies upon another", async () => {
  await opened("shop", async page => {
    const system = await data(page);
    assert.equal(await page.locator(".node").count(), system.nodes.length);
    assert.equal(await page.locator("#lines .line").count(), system.edges.length);
    assert.equal(await page.locator("#list button").count(), system.findings.length);
    const texts = await page.$$eval(".node text", all => all.map(text => {
      const {left, top, right, bottom} = text.getBoundingClientRect();
      return {left, top, right, bottom, text: text.textContent};
    }));
    for (const [at, a] of texts.entries()) {
      for (const b of texts.slice(at + 1)) {
        // Two lines of one box may touch: the frame of a text is higher than its letters.
        const over = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        const beside = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        assert.ok(over <= 3 || beside <= 0, `${a.text} and ${b.text} overlap`);
      }
    }
    const outside = await page.$$eval(".node", nodes => nodes.filter(node => {
      const box = node.querySelector(".box").getBoundingClientRect();
      return [...node.querySelectorAll("text")].some(text => text.getBoundingClientRect().right > box.right);
    }).length);
    assert.equal(outside, 0, "texts that are wider than their box");
    await page.screenshot({path: join(pages, "shop.png")});
    await page.setViewportSize({width: 1180, height: 620});
    await page.keyboard.press("0");
    await page.screenshot({path: join(pages, "graph.png")});
  });
});

test("the search narrows what is shown, and Enter lights the first", async () => {
  await opened("shop", async page => {
    await page.fill("#search", "payment");
    const system = await data(page);
    const wanted = system.nodes.map(node => node.id).filter(id => id.includes("payment")).sort();
    const shown = await page.$$eval(".node:not(.away)", nodes => nodes.map(node => node.dataset.id).sort());
    assert.deepEqual(shown, wanted);
    assert.ok(wanted.length > 0 && wanted.length < system.nodes.length);
    await page.keyboard.press("Enter");
    assert.ok((await litServices(page)).length > 1);
    await page.fill("#search", "nobody-has-this-name");
    assert.equal(await page.locator(".node:not(.away)").count(), await page.locator(".node.lit").count());
  });
});

test("a kind of finding and a namespace narrow findings, picture and table", async () => {
  await opened("large", async page => {
    const system = await data(page);
    const rows = () => page.locator("#rows tr:not([hidden])").count();
    const [all, kind] = [await rows(), system.findings.at(-1).kind];
    await page.selectOption("#kind", kind);
    const kinds = await page.$$eval("#list button", all => all.filter(one => one.offsetParent).map(one => one.dataset.kind));
    assert.equal(kinds.length, system.findings.filter(finding => finding.kind === kind).length);
    assert.deepEqual([...new Set(kinds)], [kind]);
    await page.selectOption("#kind", "");
    await page.selectOption("#namespace", "team-1");
    const shown = await page.$$eval(".node:not(.away)", nodes => nodes.map(node => node.dataset.id));
    assert.deepEqual(shown.sort(), system.nodes.map(node => node.id).filter(id => id.startsWith("team-1/")).sort());
    assert.ok((await rows()) < all);
    await page.selectOption("#namespace", "");
    assert.equal(await rows(), all);
  });
});

test("a click on each finding of the shop lights exactly its path, Escape clears", async () => {
  await opened("shop", async page => {
    const system = await data(page);
    assert.ok(system.findings.length > 0);
    for (const [number, finding] of system.findings.entries()) {
      await page.click(`[data-finding="${number}"]`);
      const {services, calls} = expected(system, finding);
      assert.deepEqual(await litServices(page), services, finding.message);
      assert.deepEqual(await litCalls(page), calls, finding.message);
    }
    await page.keyboard.press("Escape");
    assert.deepEqual([await litServices(page), await litCalls(page)], [[], []]);
    assert.equal(await page.locator(".away").count(), 0);
  });
});

test("a service that many call lights with all of them", async () => {
  await opened("hub", async page => {
    const system = await data(page);
    await page.click("[data-finding]");
    assert.deepEqual(await litServices(page), system.nodes.map(node => node.id).sort());
    assert.equal((await litCalls(page)).length, 10);
    await page.click("[data-finding]");
    assert.deepEqual(await litServices(page), []);
  });
});

test("the same without a mouse", async () => {
  await opened("shop", async page => {
    const system = await data(page);
    const focused = () => page.evaluate(() => ({...document.activeElement.dataset}));
    const tabTo = async name => {
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press("Tab");
        if ((await focused())[name] !== undefined) return;
      }
      assert.fail(`no Tab leads to data-${name}`);
    };
    await tabTo("finding");
    await page.keyboard.press("Enter");
    const {services, calls} = expected(system, system.findings[0]);
    assert.deepEqual([await litServices(page), await litCalls(page)], [services, calls]);
    await page.keyboard.press("Escape");
    assert.deepEqual(await litServices(page), []);

    await tabTo("id");
    const first = (await focused()).id;
    await page.keyboard.press("ArrowRight");
    const second = (await focused()).id;
    assert.notEqual(second, first);
    await page.keyboard.press("Enter");
    const touching = system.edges.map(edge => [edge.from, edge.to].map(end => system.nodes[end].id)).filter(ends => ends.includes(second));
    assert.deepEqual(await litServices(page), [...new Set([second, ...touching.flat()])].sort());
    assert.deepEqual(await litCalls(page), touching.map(ends => ends.join(" ")).sort());
    await page.screenshot({path: join(pages, "shop-lit.png")});

    const scale = () => page.$eval("#view", view => view.transform.baseVal.consolidate().matrix.a);
    const start = await scale();
    await page.keyboard.press("+");
    assert.ok((await scale()) > start);
    await page.keyboard.press("-");
    await page.keyboard.press("-");
    assert.ok((await scale()) < start);
    await page.keyboard.press("0");
    await page.keyboard.press("Escape");
    assert.deepEqual(await litServices(page), []);
  });
});

test("the table has a row for each call and event", async () => {
  await opened("shop", async page => {
    const system = await data(page);
    await page.focus("#edges");
    await page.keyboard.press("Enter");
    const rows = await page.$$eval("#rows tr", rows => rows.map(row => [...row.cells].slice(0, 2).map(cell => cell.textContent)));
    assert.deepEqual(rows, system.edges.map(edge => [system.nodes[edge.from].id, system.nodes[edge.to].id]));
    assert.ok(await page.locator("#rows tr").first().isVisible());
  });
});

for (const colorScheme of ["light", "dark"]) {
  test(`every text is legible in ${colorScheme}`, async () => {
    await opened("shop", async page => {
      await page.focus("#edges");
      await page.keyboard.press("Enter");
      const found = await contrasts(page);
      assert.ok(found.length > 40, `${found.length} texts`);
      assert.deepEqual(found.filter(({ratio}) => ratio < 4.5), []);
      await page.keyboard.press("Enter");
      await page.screenshot({path: join(pages, `shop-${colorScheme}.png`)});
    }, {colorScheme});
  });
}

test("200 services are drawn at once, and what is lit can be read", async () => {
  await opened("large", async page => {
    const system = await data(page);
    assert.ok(system.nodes.filter(node => node.kind === "service").length >= 200);
    assert.equal(await page.locator(".node").count(), system.nodes.length);
    const drawn = await page.evaluate(() => performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd);
    assert.ok(drawn < 3000, `drawn after ${drawn} ms`);
    await page.screenshot({path: join(pages, "large.png")});
    const number = system.findings.findIndex(finding => finding.kind === "LongChain");
    await page.click(`[data-finding="${number}"]`);
    await page.screenshot({path: join(pages, "large-finding.png")});
    const chain = system.findings[number].path;
    await page.fill("#search", chain[0].split("/")[1]);
    await page.keyboard.press("Enter");
    const box = await page.locator(".node.lit.start text.name").boundingBox();
    assert.ok(box.height >= 8, `letters of ${box.height} pixels`);
    await page.screenshot({path: join(pages, "large-service.png")});
  });
});

test("each kind of thing has a form of its own", async () => {
  await opened("kinds", async page => {
    const system = await data(page);
    const forms = await page.$$eval(".node", nodes => nodes.map(node => {
      const style = getComputedStyle(node.querySelector(".box"));
      return [node.querySelector(".box").getAttribute("rx"), style.strokeDasharray, node.querySelectorAll(".box").length].join();
    }));
    const byKind = new Map(system.nodes.map((node, at) => [node.kind, forms[at]]));
    assert.deepEqual([...byKind.keys()].sort(), ["external", "missing", "service", "workload"]);
    assert.equal(new Set(byKind.values()).size, 4);
    const lines = await page.$$eval("#lines .line", lines => lines.map(line => {
      const style = getComputedStyle(line);
      return [style.strokeDasharray, style.strokeWidth, line.getAttribute("marker-end")].join();
    }));
    const edges = new Map(system.edges.map((edge, at) => [edge.kind, lines[at]]));
    assert.deepEqual([...edges.keys()].sort(), ["broken", "event", "optional", "required"]);
    assert.equal(new Set(edges.values()).size, 4);
    await page.screenshot({path: join(pages, "kinds.png")});
  });
});
