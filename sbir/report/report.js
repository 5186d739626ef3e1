"use strict";
const CONFIG = {displaylogo: false, showLink: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]};

function drawFigures(run, data) {
  for (const place of run.querySelectorAll("[data-figure]")) {
    const figure = data.figures[place.dataset.figure];
    for (const trace of figure.data) {
      if (trace.textRuns) trace.text = trace.textRuns.flatMap(([text, count]) => Array(count).fill(text));
    }
    Plotly.newPlot(place, figure.data, figure.layout, CONFIG);
  }
}

function lambdaSlider(run, data) {
  const slider = run.querySelector("input.lambda");
  if (!slider) return;
  const trials = data.trials.filter((trial) => trial.curve);
  const update = () => {
    const at = Number(slider.value);
    const name = data.lambdas[at];
    const found = trials.filter((trial) => trial.curve[at] !== null).sort((one, other) => other.curve[at] - one.curve[at]);
    run.querySelector(".lambda-value").textContent = name;
    run.querySelector(".lambda-words").textContent = lambdaWords(name, at, found, trials[0]);
    run.querySelector(".lambda-levels").replaceChildren(...found.slice(0, 12).flatMap((trial) => lambdaLevel(trial, at, trials[0].value)));
    moveLine(run, name);
  };
  slider.addEventListener("input", update);
  slider.value = Math.max(0, data.lambdas.indexOf(trials[0].lambda));
  update();
}

function lambdaWords(name, at, found, best) {
  const first = found[0];
  return `At lambda ${name}: ${first.name} is first with ${percentText(first.curve[at])} %. ` +
    `Each at its own lambda: ${best.name} with ${percentText(best.value)} % at ${best.lambda}.`;
}

function lambdaLevel(trial, at, top) {
  const share = (value) => `${Math.max(0, Math.min(100, (100 * value) / top)).toFixed(1)}%`;
  const [value, own] = [element("span", {class: "value"}), element("span", {class: "own", title: `own lambda ${trial.lambda}`})];
  value.style.width = share(trial.curve[at]);
  own.style.left = share(trial.value);
  return [element("span", {}, trial.name), element("div", {class: "track"}, value, own),
    element("span", {class: "num"}, percentText(trial.curve[at]))];
}

function moveLine(run, name) {
  const place = run.querySelector('[data-figure="lambda"]');
  if (!place) return;
  const line = {type: "line", x0: Number(name), x1: Number(name), yref: "paper", y0: 0, y1: 1, line: {color: "#d55e00", width: 2}};
  Plotly.relayout(place, {shapes: name === "min" ? [] : [line]});
}

function classBars(run, data) {
  const place = run.querySelector("[data-classes]");
  if (!place) return;
  const [row, rival] = [run.querySelector(".class-row"), run.querySelector(".class-rival")];
  const names = Object.keys(data.classes.rows);
  const mean = (name) => data.classes.rows[name].reduce((sum, figure) => sum + figure[0], 0);
  const ranked = [...names].sort((one, other) => mean(other) - mean(one));
  fillSelect(row, ranked.map((name) => [name, name]), ranked[0]);
  fillSelect(rival, [["", "nothing"], ...ranked.map((name) => [name, name])], ranked[1] ?? "");
  const update = () => {
    const order = data.classes.classes.map((_, at) => at).sort((one, other) => data.classes.rows[row.value][other][0] - data.classes.rows[row.value][one][0]);
    const shown = [[row.value, "#0072B2", "bar"], [rival.value, "#1F2933", "scatter"]].filter(([name]) => name && data.classes.rows[name]);
    const traces = shown.map(([name, color, type]) => classTrace(data, order, name, color, type));
    Plotly.react(place, traces, classLayout(data, order), CONFIG);
  };
  [row, rival].forEach((select) => select.addEventListener("change", update));
  update();
}

function classTrace(data, order, name, color, type) {
  const figures = order.map((at) => data.classes.rows[name][at]);
  const ends = {type: "data", symmetric: false, color, thickness: 1.4, width: 3, array: figures.map(([mean, , high]) => (high === null ? 0 : high - mean)),
    arrayminus: figures.map(([mean, low]) => (low === null ? 0 : mean - low))};
  const look = type === "bar" ? {marker: {color: "#9DBFDD"}} : {mode: "markers", marker: {color, size: 8, symbol: "diamond"}};
  return {type, name: plain(name), x: order.map((_, place) => place), y: figures.map(([mean]) => mean), error_y: ends, ...look,
    text: order.map((at) => plain(data.classes.classes[at])), textposition: "none", hovertemplate: "%{text}: %{y:.1f} %<extra></extra>"};
}

function classLayout(data, order) {
  const names = order.map((at) => plain(data.classes.classes[at]));
  const light = {gridcolor: "#E4E7EB", linecolor: "#9AA5B1", zeroline: false, automargin: true};
  return {height: 420, paper_bgcolor: "#fff", plot_bgcolor: "#fff", margin: {l: 60, r: 20, t: 40, b: 90}, legend: {orientation: "h", y: 1.12},
    xaxis: {...light, tickmode: "array", tickvals: order.map((_, place) => place), ticktext: names, tickangle: -40},
    yaxis: {...light, title: {text: `test ${plain(data.metric)}, % (higher is better)`}, rangemode: "tozero"}};
}

// Plotly reads a few tags in texts: what comes from a run is shown as it is.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function start(run) {
  if (run.dataset.started) return;
  run.dataset.started = "yes";
  const data = JSON.parse(run.querySelector("script.data").textContent);
  const choose = trialsTable(run, data);
  parallelCoordinates(run, data, choose);
  queryPicker(run, data);
  drawFigures(run, data);
  lambdaSlider(run, data);
  classBars(run, data);
}

const RUNS = [...document.querySelectorAll("section.run")];
const TABS = [...document.querySelectorAll("[data-tab]")];

function openTab(at) {
  RUNS.forEach((run, place) => { run.hidden = place !== at; });
  TABS.forEach((tab, place) => tab.setAttribute("aria-pressed", String(place === at)));
  start(RUNS[at]);
}

TABS.forEach((tab, at) => tab.addEventListener("click", () => openTab(at)));
openTab(0);
const fit = () => document.querySelectorAll(".js-plotly-plot").forEach((place) => { if (place.offsetParent) Plotly.Plots.resize(place); });
window.addEventListener("beforeprint", fit);
window.addEventListener("afterprint", fit);
