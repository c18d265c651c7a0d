// Opens report pages in headless Chromium from disk with the network off, at two widths and in two colour
// schemes, draws every chart, runs axe-core, and prints what it found as JSON.
//   node page.mjs CHROMIUM AXE OUT PAGE...      (playwright-core must be resolvable from the working folder)
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [chromium, axe, out, ...pages] = process.argv.slice(2);
const { chromium: browserType } = createRequire(join(process.cwd(), "package.json"))("playwright-core");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
flags.push("--disable-background-networking", "--disable-component-update");
const browser = await browserType.launch({ executablePath: chromium, args: flags });
const widths = { desktop: { width: 1200, height: 900 }, phone: { width: 390, height: 844 } };
const found = [];

for (const page of pages) {
  for (const [width, viewport] of Object.entries(widths)) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport, colorScheme, offline: true, isMobile: width === "phone" });
      context.setDefaultTimeout(120000); // a busy machine
      const tab = await context.newPage();
      const errors = [];
      const requests = [];
      tab.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) errors.push(message.text());
      });
      tab.on("pageerror", (error) => errors.push(String(error)));
      tab.on("request", (request) => requests.push(request.url()));
      await tab.goto(pathToFileURL(resolve(page)).href);
      const charts = tab.locator(".chart");
      const count = await charts.count();
      for (let index = 0; index < count; index++) {
        await charts.nth(index).scrollIntoViewIfNeeded();
        await charts.nth(index).and(tab.locator("[data-drawn]")).waitFor();
      }
      await tab.evaluate(() => scrollTo(0, 0));
      const marks = await tab.evaluate(() =>
        [...document.querySelectorAll(".chart")].map((chart) => chart.querySelectorAll("svg path, svg line").length),
      );
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      // A head sorts by keyboard, and says so.
      const head = tab.locator("th button").first();
      let sorted = null;
      if (await head.count()) {
        await head.focus();
        await tab.keyboard.press("Enter");
        sorted = await tab.locator("th[aria-sort]").first().getAttribute("aria-sort");
        await tab.reload();
        for (let index = 0; index < count; index++) {
          await charts.nth(index).scrollIntoViewIfNeeded();
          await charts.nth(index).and(tab.locator("[data-drawn]")).waitFor();
        }
        await tab.evaluate(() => scrollTo(0, 0));
      }
      const name = `${basename(page, ".html")}-${width}-${colorScheme}`;
      await tab.screenshot({ path: join(out, `${name}.png`) });
      await tab.screenshot({ path: join(out, `${name}-whole.png`), fullPage: true });
      await tab.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
      await tab.evaluate(readFileSync(axe, "utf8"));
      const { violations } = await tab.evaluate(() => axe.run());
      found.push({
        page: basename(page),
        width,
        scheme: colorScheme,
        charts: count,
        empty: marks.filter((number) => number < 3).length,
        errors,
        requests: requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:")),
        overflow: wide,
        sorted,
        violations: violations.map(({ id, impact, help, nodes }) => ({
          id,
          impact,
          help,
          nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 160)),
        })),
      });
      await context.close();
    }
  }
}

// Without scripts nothing is drawn, and everything is said: a sentence a chart, every table open.
for (const page of pages) {
  const context = await browser.newContext({ javaScriptEnabled: false, offline: true });
  const tab = await context.newPage();
  await tab.goto(pathToFileURL(resolve(page)).href);
  const words = await tab.locator(".chart .words").allInnerTexts();
  const tables = await tab.locator("table").count();
  let shown = 0;
  for (let index = 0; index < tables; index++) shown += await tab.locator("table").nth(index).isVisible();
  found.push({ page: basename(page), scripts: false, sentences: words.filter((text) => text.length > 20).length, tables, shown });
  await context.close();
}
const version = browser.version();
await browser.close();
console.log(JSON.stringify({ chromium: version, found }, null, 1));
