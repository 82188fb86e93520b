// The charts of the usage page, drawn by uPlot in the place of the server's drawings: hovering says each number, dragging
// zooms in. All numbers are the page's own: of the tables behind the charts, and of the balance's points.
(() => {
  const NARROW = matchMedia("(max-width: 40rem)");
  const DAY = 86_400;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const written = new Intl.NumberFormat("en-GB");
  const plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (text) => Number(text.replace(/[^\d]/g, ""));
  const short = (value) => {
    for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (value >= size) return `${Number((value / size).toPrecision(3))}${letter}`;
    return `${value}`;
  };
  const day = (at) => `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;

  // --- What both charts have

  function axes(labels) {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const lines = { stroke: () => colour("--grid"), width: 1 };
    const common = { font, stroke: () => colour("--axis"), ticks: { show: false } };
    return [
      { ...common, ...labels, grid: { show: false }, size: 28, gap: 6 },
      { ...common, grid: lines, size: 48, gap: 6, values: (_, values) => values.map(short) },
    ];
  }

  // A box beside the pointer with what is under it: a title, and names with numbers.
  function saying(lines) {
    const box = document.createElement("div");
    box.className = "plot__said";
    box.hidden = true;
    return {
      hooks: {
        init: [(plot) => plot.over.append(box)],
        setCursor: [(plot) => {
          const { idx, left } = plot.cursor;
          box.hidden = idx == null || left < 0;
          if (box.hidden) return;
          const [title, ...rest] = lines(idx);
          box.replaceChildren(...[title, ...rest].map(([name, value]) => {
            const line = document.createElement("p");
            const bold = document.createElement("b");
            bold.textContent = value;
            line.append(name, bold);
            return line;
          }));
          const width = box.offsetWidth;
          box.style.translate = `${left + width + 16 > plot.over.clientWidth ? left - width - 12 : left + 12}px 4px`;
        }],
      },
    };
  }

  // A button that ends a zoom, which a double click does as well.
  function zooming(min, max) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn--s btn--plain plot__whole";
    button.textContent = "Whole range";
    button.hidden = true;
    return {
      hooks: {
        init: [(plot) => {
          plot.root.append(button);
          button.addEventListener("click", () => plot.setScale("x", { min, max }));
        }],
        setScale: [(plot, key) => {
          if (key === "x") button.hidden = plot.scales.x.min <= min && plot.scales.x.max >= max;
        }],
      },
    };
  }

  // Labels beside marks, each where it covers no other: the last argument of `marking` writes one.
  function labelling(plot, context, ratio) {
    const taken = [];
    context.font = `600 ${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    return (text, x, y) => {
      if (plot.width < 480) return;
      const width = context.measureText(text).width;
      const left = x + 9 * ratio + width < plot.bbox.left + plot.bbox.width ? x + 9 * ratio : x - 9 * ratio - width;
      if (taken.some((one) => left < one.right && left + width > one.left && Math.abs(y - one.y) < 14 * ratio)) return;
      taken.push({ left: left - 6 * ratio, right: left + width + 6 * ratio, y });
      context.fillStyle = colour("--ink");
      context.fillText(text, left, y);
    };
  }

  function marking(draw) {
    return { hooks: { draw: [(plot) => {
      plot.ctx.save();
      plot.ctx.setLineDash([]);
      draw(plot, plot.ctx, devicePixelRatio, labelling(plot, plot.ctx, devicePixelRatio));
      plot.ctx.restore();
    }] } };
  }

  function show(figure, options, data) {
    const drawings = [...figure.querySelectorAll(".chart")];
    const size = () => {
      const [, , width, height] = drawings[NARROW.matches ? 1 : 0].getAttribute("viewBox").split(" ").map(Number);
      const across = figure.clientWidth;
      return { width: across, height: Math.round((across * height) / width) };
    };
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", drawings[0].getAttribute("aria-label"));
    const plot = new uPlot({ ...size(), legend: { show: false }, padding: [20, 20, 0, 0], ...options }, data, place);
    drawings[0].before(place);
    new ResizeObserver(() => { if (figure.clientWidth !== plot.width) plot.setSize(size()); }).observe(figure);
    plots.push(plot);
  }

  // --- Columns

  function columns(figure) {
    const table = figure.parentElement.querySelector("table[data-behind]");
    const rows = [...table.tBodies[0].rows].reverse();
    const names = [...table.tHead.rows[0].cells].slice(1, -2).map((cell) => cell.textContent);
    const titles = rows.map((row) => row.cells[0].textContent);
    const firsts = rows.map((row) => new Date(`${row.dataset.first}T00:00:00Z`));
    const numbers = rows.map((row) => [...row.cells].slice(1).map((cell) => number(cell.textContent)));
    const once = numbers.map((row) => row.at(-2));
    // Each part reaches from the base to its top, the highest drawn first, so that those below lie over it.
    const tops = names.map((_, part) => numbers.map((row) => row.slice(0, part + 1).reduce((sum, one) => sum + one, 0)));
    const bars = uPlot.paths.bars({ size: [0.72, 64] });
    const series = names.map((_, part) => ({
      fill: () => colour(`--c${part + 1}`), stroke: () => colour("--surface"), width: 1, paths: bars, points: { show: false },
    }));
    const label = (first) => (figure.dataset.columns === "month" ? MONTHS[first.getUTCMonth()] : day(first));
    const [min, max] = [-0.5, rows.length - 0.5];
    show(figure, {
      scales: { x: { time: false, min, max }, y: { range: (_, low, high) => [0, Math.max(high * 1.05, 4)] } },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
      axes: axes({
        splits: (plot, _, from, to) => {
          const every = Math.max(1, Math.ceil((to - from) / (plot.width < 480 ? 4 : 12)));
          return rows.map((_row, index) => index).filter((index) => index % every === 0 && index >= from && index <= to);
        },
        values: (_, places) => places.map((place) => label(firsts[place])),
      }),
      series: [{}, ...series.reverse()],
      plugins: [
        zooming(min, max),
        saying((index) => [
          [titles[index], ""],
          ...names.map((name, part) => [name, written.format(numbers[index][part])]).filter(([, value]) => value !== "0").reverse(),
          ...(once[index] ? [["Once", written.format(once[index])]] : []),
          ["Total", written.format(numbers[index].at(-1))],
        ]),
        marking((plot, context, ratio, label) => {
          context.fillStyle = colour("--ink");
          once.forEach((credits, index) => {
            if (!credits || index < plot.scales.x.min || index > plot.scales.x.max) return;
            const [x, y, r] = [plot.valToPos(index, "x", true), plot.bbox.top - 8 * ratio, 5.5 * ratio];
            context.beginPath();
            context.moveTo(x, y - r);
            context.lineTo(x + r, y);
            context.lineTo(x, y + r);
            context.lineTo(x - r, y);
            context.fill();
            label(`Once: ${written.format(credits)}`, x, y + 4 * ratio);
          });
        }),
      ],
    }, [rows.map((_, index) => index), ...tops.reverse()]);
  }

  // --- The balance

  function balance(figure) {
    const points = (text) => text.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number));
    const past = points(figure.dataset.points);
    const ahead = points(figure.dataset.ahead).slice(1);
    const times = [...past, ...ahead].map(([at]) => at);
    const was = [...past.map(([, credits]) => credits), ...ahead.map(() => null)];
    const expected = [...past.map((point, index) => (index === past.length - 1 && ahead.length ? point[1] : null)), ...ahead.map(([, credits]) => credits)];
    const changes = [...figure.parentElement.querySelectorAll("tr[data-change]")].map((row) => ({
      at: Number(row.dataset.change), kind: row.dataset.kind, credits: number(row.cells[3].textContent),
      short: row.dataset.label, words: `${row.cells[0].textContent} ${row.cells[2].textContent}`,
    }));
    const [min, max] = [times[0], times.at(-1)];
    const moment = (at) => (at % DAY ? `${day(new Date(at * 1e3))}, ${new Date(at * 1e3).toISOString().slice(11, 16)} UTC` : day(new Date(at * 1e3)));
    show(figure, {
      scales: { x: { time: false, min, max }, y: { range: (_, low, high) => [0, Math.max(high * 1.05, 4)] } },
      cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false } },
      axes: axes({
        splits: (plot, _, from, to) => {
          const every = Math.max(1, Math.ceil((to - from) / DAY / (plot.width < 480 ? 4 : 12))) * DAY;
          const found = [];
          for (let at = Math.ceil(from / DAY) * DAY; at <= to; at += every) found.push(at);
          return found;
        },
        values: (_, places) => places.map((at) => day(new Date(at * 1e3))),
      }),
      series: [
        {},
        { stroke: () => colour("--brand"), width: 2, fill: () => `color-mix(in srgb, ${colour("--brand")} 10%, transparent)`, points: { show: false } },
        { stroke: () => colour("--brand"), width: 2, dash: [3, 4], points: { show: false } },
      ],
      plugins: [
        zooming(min, max),
        saying((index) => {
          const near = changes.filter((change) => change.at === times[index]);
          return [
            [moment(times[index]), ""],
            [was[index] == null ? "Expected" : "Balance", written.format(was[index] ?? expected[index])],
            ...near.map((change) => [change.words, ""]),
          ];
        }),
        marking((plot, context, ratio, label) => {
          for (const { at, kind, credits, short: said } of changes) {
            if (at < plot.scales.x.min || at > plot.scales.x.max) continue;
            const [x, y, r] = [plot.valToPos(at, "x", true), plot.valToPos(credits, "y", true), 5 * ratio];
            context.beginPath();
            context.lineWidth = 2 * ratio;
            if (kind === "plus") {
              context.arc(x, y, r, 0, 2 * Math.PI);
              context.fillStyle = colour("--brand");
              context.strokeStyle = colour("--surface");
              context.fill();
            } else {
              context.moveTo(x - r, y - r);
              context.lineTo(x + r, y + r);
              context.moveTo(x + r, y - r);
              context.lineTo(x - r, y + r);
              context.strokeStyle = colour("--bad");
            }
            context.stroke();
            label(said, x, Math.max(y - 6 * ratio, plot.bbox.top - 4 * ratio));
          }
        }),
      ],
    }, [times, was, expected]);
  }

  document.querySelectorAll("figure[data-columns]").forEach(columns);
  document.querySelectorAll("figure[data-points]").forEach(balance);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.redraw()));
})();
