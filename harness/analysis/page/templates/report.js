"use strict";
(() => {
  const PAGE = 50;
  const LONG = 60;
  const OUTCOMES = new Set(["better", "worse", "identical", "equivalent", "inconclusive", "failed", "missing"]);
  const NUMBER = /^[±<]?\s?([-−]?(?:\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|∞))(?=$|[\s%/\[])/i;

  // Value by which a cell is sorted; null if it is no number.
  const valueOf = (text) => {
    const found = NUMBER.exec(text);
    if (!found) return null;
    const digits = found[1].replace(/,/g, "").replace("−", "-");
    return digits.endsWith("∞") ? (digits.startsWith("-") ? -Infinity : Infinity) : Number(digits);
  };
  const isEmpty = (text) => text === "" || text === "–";

  const compare = (isNumber) => (a, b) => {
    if (isEmpty(a) || isEmpty(b)) return 0;
    return isNumber ? valueOf(a) - valueOf(b) : a.localeCompare(b, "en", { numeric: true });
  };

  const enhance = (grid) => {
    const table = grid.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const filter = grid.querySelector("[data-filter]");
    const status = grid.querySelector("[data-status]");
    const pages = grid.querySelector("[data-pages]");
    const rest = grid.querySelector("[data-rest]");
    const rows = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    if (rest) rows.push(...JSON.parse(rest.textContent));
    const isNumber = heads.map((_, column) => rows.length > 0
      && rows.some((row) => !isEmpty(row[column]))
      && rows.every((row) => isEmpty(row[column]) || valueOf(row[column]) !== null));
    const isLong = heads.map((_, column) => rows.some((row) => row[column].length > LONG));
    let shown = rows;
    let page = 0;
    let printing = false;

    const draw = () => {
      const size = printing ? 1000 : PAGE;
      const first = page * PAGE;
      body.replaceChildren(...shown.slice(first, first + size).map((row) => {
        const line = document.createElement("tr");
        row.forEach((text, column) => {
          const cell = line.insertCell();
          cell.textContent = text;
          if (isNumber[column]) cell.classList.add("number");
          if (isLong[column]) cell.classList.add("long");
          if (OUTCOMES.has(text)) cell.classList.add(text);
        });
        return line;
      }));
      const count = shown.length === rows.length ? `${rows.length} rows` : `${shown.length} of ${rows.length} rows`;
      const last = Math.min(first + PAGE, shown.length);
      status.textContent = shown.length > PAGE ? `${count}, ${first + 1} to ${last} shown` : count.replace(/^1 rows/, "1 row");
      pages.hidden = shown.length <= PAGE;
      pages.querySelector("[data-previous]").disabled = page === 0;
      pages.querySelector("[data-next]").disabled = last >= shown.length;
    };

    const order = { column: -1, sign: 1 };
    const arrange = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = rows.filter((row) => {
        const text = row.join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
      });
      if (order.column >= 0) {
        const by = compare(isNumber[order.column]);
        // Empty cells stay last in both directions.
        shown = shown.slice().sort((a, b) => isEmpty(a[order.column]) - isEmpty(b[order.column])
          || order.sign * by(a[order.column], b[order.column]));
      }
      page = 0;
      draw();
    };

    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      if (isNumber[column]) head.classList.add("number");
      button.addEventListener("click", () => {
        order.sign = order.column === column ? -order.sign : 1;
        order.column = column;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order.sign > 0 ? "ascending" : "descending");
        arrange();
      });
    });
    filter.disabled = false;
    filter.addEventListener("input", arrange);
    filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { filter.value = ""; arrange(); }
    });
    pages.querySelector("[data-previous]").addEventListener("click", () => { page -= 1; draw(); });
    pages.querySelector("[data-next]").addEventListener("click", () => { page += 1; draw(); });
    addEventListener("beforeprint", () => { printing = true; draw(); });
    addEventListener("afterprint", () => { printing = false; draw(); });
    draw();
  };

  document.querySelectorAll("[data-grid]").forEach(enhance);

  // Print what is folded: evidence and notes, but neither further pages of figures nor the experiment file.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".sentences details:not([open]), details.notes:not([open])")];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); });

  // A link to a section that is folded or within one opens it.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
