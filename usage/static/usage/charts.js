"use strict";

// Draws each <canvas data-chart="id"> from the JSON block of that id:
//   kind ("bars", stacked, or "lines"), x, y (titles of the axes), prefix, suffix, digits (of a value),
//   labels (under the axis), names (in full), series [{name, values, isOther}], before {name, values} or null,
//   limit {name, value} or null, marks [{at, name}] (at: 0 is the middle of the first bar, 1 of the second).
// Colours are the page's own and follow it into the dark; nothing moves. Arrow keys go from bar to bar.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return {
      series: [1, 2, 3, 4, 5, 6].map((n) => get(`--series-${n}`)),
      other: get("--series-other"),
      text: get("--pico-color"),
      quiet: get("--quiet"),
      line: get("--hairline"),
      panel: get("--panel"),
      limit: get("--red"),
    };
  }

  // Without colours the series still differ: each has a pattern of its own beside its place in the stack.
  const STROKES = [
    [],
    [[0, 8, 8, 0], [-2, 2, 2, -2], [6, 10, 10, 6]],
    [[4, 3.5, 4, 4.5], [0, -0.5, 0, 0.5], [8, 7.5, 8, 8.5], [0, 7.5, 0, 8.5], [8, -0.5, 8, 0.5]],
    [[0, 0, 8, 8], [-2, 6, 2, 10], [6, -2, 10, 2]],
    [[0, 4, 8, 4]],
    [[4, 0, 4, 8], [0, 4, 8, 4]],
  ];

  function fill(colour, place, panel) {
    const strokes = STROKES[place % STROKES.length];
    if (!strokes.length) return colour;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = panel;
    pen.globalAlpha = 0.55;
    pen.lineCap = "round";
    pen.lineWidth = place === 2 ? 2.2 : 1.4;
    for (const [x1, y1, x2, y2] of strokes) {
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.lineTo(x2, y2);
      pen.stroke();
    }
    return pen.createPattern(tile, "repeat");
  }

  // As many digits as tell one tick from the next: the first cents of a month are an axis too.
  function shortened(value, _, ticks) {
    const step = ticks.length > 1 ? Math.abs(ticks[1].value - ticks[0].value) : 1;
    const digits = step < 0.1 ? Math.min(9, Math.ceil(-Math.log10(step)) + 1) : 2;
    return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: digits }).format(value);
  }

  function exact(data, value) {
    if (value === null || value === undefined) return "–";
    const least = data.prefix ? 2 : 0;
    const format = new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: data.digits });
    return `${data.prefix}${format.format(value)}${data.suffix}`;
  }

  function datasets(data, colour) {
    const isBars = data.kind === "bars";
    const points = ["circle", "rect", "triangle", "rectRot", "star", "crossRot"];
    const sets = data.series.map((series, place) => {
      const own = series.isOther ? colour.other : colour.series[place % 6];
      return {
        label: series.name,
        data: series.values,
        order: 2,
        backgroundColor: isBars && !series.isOther ? fill(own, place, colour.panel) : own,
        borderColor: isBars ? colour.panel : own,
        borderWidth: isBars ? { top: data.labels.length > 100 ? 0 : 1 } : 2,
        borderDash: series.isOther ? [2, 3] : [],
        borderSkipped: false,
        pointStyle: isBars ? "rect" : points[place % 6],
        pointRadius: data.labels.length > 60 ? 0 : 3,
        maxBarThickness: 72,
        categoryPercentage: 0.86,
        barPercentage: 1,
        stack: "now",
        spanGaps: true,
      };
    });
    if (data.before) {
      sets.push({
        type: "line",
        label: data.before.name,
        data: data.before.values,
        order: 1,
        borderColor: colour.quiet,
        backgroundColor: colour.quiet,
        borderWidth: 1.5,
        stepped: isBars ? "middle" : false,
        pointRadius: data.before.values.length === 1 ? 4 : 0,
        pointStyle: "line",
        stack: "before",
        spanGaps: true,
      });
    }
    return sets;
  }

  // The limit, and what is marked on the time, over the bars.
  const marked = (data, style) => ({
    id: "marked",
    afterDatasetsDraw(chart) {
      const colour = style.colour;
      const { ctx: pen, chartArea: area, scales } = chart;
      pen.save();
      pen.font = `12px ${Chart.defaults.font.family}`;
      pen.lineWidth = 1;
      let taken = -Infinity;
      for (const mark of [...data.marks].sort((one, other) => one.at - other.at)) {
        const x = Math.min(area.right, Math.max(area.left, scales.x.getPixelForValue(mark.at)));
        pen.strokeStyle = colour.quiet;
        pen.setLineDash([2, 3]);
        pen.beginPath();
        pen.moveTo(x, area.top - 4);
        pen.lineTo(x, area.bottom);
        pen.stroke();
        const width = pen.measureText(mark.name).width;
        const left = Math.min(x - width / 2, area.right - width);
        if (left < taken) continue;
        taken = left + width + 8;
        written(pen, mark.name, left, area.top - 8, colour.quiet, null);
      }
      if (data.limit) {
        const y = scales.y.getPixelForValue(data.limit.value);
        pen.strokeStyle = colour.limit;
        pen.lineWidth = 1.5;
        pen.setLineDash([6, 4]);
        pen.beginPath();
        pen.moveTo(area.left, y);
        pen.lineTo(area.right, y);
        pen.stroke();
        written(pen, data.limit.name, area.left + 6, y - 6, colour.limit, colour.panel);
      }
      pen.restore();
    },
  });

  function written(pen, text, x, y, colour, ground) {
    if (ground) {
      pen.fillStyle = ground;
      pen.globalAlpha = 0.85;
      pen.fillRect(x - 3, y - 12, pen.measureText(text).width + 6, 15);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  function options(data, colour) {
    const isBars = data.kind === "bars";
    const title = (text) => ({ display: true, text, color: colour.quiet });
    const highest = data.limit ? data.limit.value * 1.08 : undefined;
    return {
      animation: false,
      maintainAspectRatio: false,
      locale: "en",
      interaction: { mode: "index", intersect: false },
      layout: { padding: { top: data.marks.length ? 20 : 4 } },
      scales: {
        x: {
          stacked: isBars,
          offset: true,
          title: title(data.x),
          grid: { display: false },
          border: { color: colour.line },
          ticks: { color: colour.quiet, maxRotation: 0, autoSkipPadding: 16 },
        },
        y: {
          stacked: isBars,
          beginAtZero: true,
          suggestedMax: highest,
          title: title(data.y),
          grid: { color: colour.line },
          border: { display: false },
          ticks: { color: colour.quiet, callback: shortened, precision: data.digits === 0 ? 0 : undefined },
        },
      },
      plugins: {
        legend: {
          display: data.series.length > 1 || Boolean(data.before),
          position: "bottom",
          align: "start",
          labels: {
            color: colour.text,
            boxHeight: 10,
            padding: 12,
            usePointStyle: true,
            sort: (one, other) => one.datasetIndex - other.datasetIndex,
          },
          onClick: null,
        },
        tooltip: {
          animation: false,
          backgroundColor: colour.panel,
          borderColor: colour.quiet,
          borderWidth: 1,
          titleColor: colour.text,
          bodyColor: colour.text,
          footerColor: colour.text,
          itemSort: (one, other) => other.datasetIndex - one.datasetIndex,
          filter: (item) => item.raw || (item.datasetIndex === 0 && isEmpty(data, item.dataIndex)),
          callbacks: {
            title: (items) => (items.length ? data.names[items[0].dataIndex] : ""),
            label: (item) => ` ${item.dataset.label}: ${exact(data, item.raw)}`,
            footer: (items) => (items.length ? total(data, items[0].dataIndex) : ""),
          },
        },
      },
    };
  }

  function isEmpty(data, place) {
    return ![...data.series, ...(data.before ? [data.before] : [])].some((series) => series.values[place]);
  }

  function total(data, place) {
    if (data.kind !== "bars" || data.series.length < 2) return "";
    const sum = data.series.reduce((all, series) => all + (series.values[place] ?? 0), 0);
    return `All: ${exact(data, sum)}`;
  }

  function said(data, place) {
    const parts = data.series
      .filter((series) => series.values[place])
      .map((series) => `${series.name} ${exact(data, series.values[place])}`);
    const before = data.before && data.before.values[place] != null ? [`before ${exact(data, data.before.values[place])}`] : [];
    const whole = total(data, place);
    return `${data.names[place]}: ${[...(whole ? [whole] : []), ...parts, ...before].join("; ") || "nothing"}`;
  }

  function byKeyboard(canvas, chart, data) {
    const says = canvas.closest("figure")?.querySelector("[data-chart-says]");
    let place = null;

    function goTo(next) {
      place = next;
      const sets = chart.data.datasets;
      const active = place === null ? [] : sets.map((_, index) => ({ datasetIndex: index, index: place }));
      chart.setActiveElements(active);
      const top = place === null ? { x: 0, y: 0 } : { x: chart.scales.x.getPixelForValue(place), y: chart.chartArea.top };
      chart.tooltip.setActiveElements(active, top);
      chart.update();
      if (says) says.textContent = place === null ? "" : said(data, place);
    }

    canvas.addEventListener("keydown", (event) => {
      const last = data.labels.length - 1;
      const from = place ?? (event.key === "ArrowLeft" ? last + 1 : -1);
      const goals = { ArrowRight: Math.min(last, from + 1), ArrowLeft: Math.max(0, from - 1), Home: 0, End: last, Escape: null };
      if (!(event.key in goals)) return;
      event.preventDefault();
      goTo(goals[event.key]);
    });
    canvas.addEventListener("blur", () => goTo(null));
  }

  function draw(canvas) {
    const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
    const style = { colour: colours() };
    const chart = new Chart(canvas, {
      type: data.kind === "bars" ? "bar" : "line",
      data: { labels: data.labels, datasets: datasets(data, style.colour) },
      options: options(data, style.colour),
      plugins: [marked(data, style)],
    });
    charts.push({ chart, data, style });
    byKeyboard(canvas, chart, data);
  }

  function restyle({ chart, data, style }) {
    style.colour = colours();
    chart.data.datasets = datasets(data, style.colour);
    chart.options = options(data, style.colour);
    chart.update();
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.querySelectorAll("canvas[data-chart]").forEach(draw);
  dark.addEventListener("change", () => charts.forEach(restyle));
})();
