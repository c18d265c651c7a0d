"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");

  // ---- charts: one theme for all; colours after Okabe and Ito, so that they differ for everyone

  const palettes = {
    light: ["#5f6771", "#0072b2", "#b8530a", "#008a65", "#a3478c", "#7a6a00", "#2f8fc4", "#c0392b"],
    dark: ["#b4bcc6", "#56b4e9", "#f0a43a", "#2bc59a", "#e39ac6", "#d8cf5a", "#8fd0ff", "#ff8f7d"],
  };

  function theme() {
    const night = dark.matches;
    const ink = night ? "#e8e6e1" : "#1f2328";
    const soft = night ? "#a5adb6" : "#57606a";
    const line = night ? "#31363d" : "#e3e3de";
    return {
      background: "transparent",
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif",
      range: {
        category: palettes[night ? "dark" : "light"],
        symbol: ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"],
      },
      view: { stroke: null },
      axis: {
        labelSeparation: 6,
        labelColor: ink, titleColor: soft, titleFontWeight: 400, labelFontSize: 12, titleFontSize: 12,
        gridColor: line, domainColor: line, tickColor: line, titlePadding: 8, labelPadding: 6,
      },
      axisY: { domain: false, ticks: false },
      legend: {
        labelColor: ink, labelFontSize: 12, orient: "bottom", symbolType: "circle", symbolStrokeWidth: 2, symbolOpacity: 1,
        columns: narrow.matches ? 2 : 4, labelLimit: 190,
      },
      style: {
        zero: { color: soft, strokeWidth: 1 },
        paper: { color: ink, strokeWidth: 1.5 },
        window: { color: soft },
      },
    };
  }

  const specs = JSON.parse(document.getElementById("specs")?.textContent ?? "{}");
  const drawn = new Set();

  async function draw(place) {
    drawn.add(place);
    place.style.minHeight = place.offsetHeight + "px"; // the page does not jump while it is drawn again
    try {
      await vegaEmbed(place, specs[place.dataset.spec], {
        mode: "vega-lite", renderer: "svg", actions: false, config: theme(),
        tooltip: { theme: dark.matches ? "dark" : "light" },
      });
      // One picture with one text: the marks' own roles would read out every point.
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", specs[place.dataset.spec].description);
      place.dataset.drawn = "yes";
    } catch (error) {
      console.error(`chart ${place.dataset.spec}: ${error.message}`);
    }
    place.style.minHeight = "";
  }

  const places = [...document.querySelectorAll(".chart")];
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "600px" },
  );
  places.forEach((place) => watcher.observe(place));

  // What is further down is drawn while nothing else is to do, so that paper has it; a page of hundreds waits.
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
  function rest() {
    const next = places.find((place) => !drawn.has(place));
    if (next === undefined) return;
    watcher.unobserve(next);
    draw(next).then(() => idle(rest));
  }
  if (places.length <= 60) idle(rest);

  const again = () => drawn.forEach((place) => draw(place));
  dark.addEventListener("change", again);
  narrow.addEventListener("change", again);

  // ---- folds: open without scripts and on paper, closed on a screen

  const folds = [...document.querySelectorAll("details")];
  folds.forEach((fold) => (fold.open = false));
  addEventListener("beforeprint", () => folds.forEach((fold) => (fold.open = true)));

  // ---- tables: a column of words is aligned left, every head sorts

  const first = /[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?/i;

  function value(text) {
    const found = text.match(first);
    return found ? parseFloat(found[0].replace("−", "-").replaceAll(",", "")) : NaN;
  }

  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const column = (index) => [...body.rows].map((row) => row.cells[index]);
    heads.forEach((head, index) => {
      const filled = column(index).filter((cell) => !["", "-"].includes(cell.textContent.trim()));
      const lettered = filled.filter((cell) => !/^\[?[-+−]?\d/.test(cell.textContent.trim()));
      const words = 2 * lettered.length > filled.length;
      if (words) [head, ...column(index)].forEach((cell) => cell.classList.add("text"));
      if (words && lettered.some((cell) => cell.textContent.length > 40)) head.classList.add("long");
      if (body.rows.length < 2) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[index].textContent.trim();
        const rows = [...body.rows].sort((a, b) => {
          if (words) return key(a).localeCompare(key(b), "en", { numeric: true });
          const [x, y] = [value(key(a)), value(key(b))];
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // what has no number stays last
          return x - y;
        });
        if (down) {
          const ordered = rows.filter((row) => words || !isNaN(value(key(row))));
          rows.splice(0, ordered.length, ...ordered.reverse());
        }
        body.append(...rows);
      });
    });
  }
})();
