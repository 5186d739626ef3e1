"use strict";
// The table of trials: sorted, filtered, and as long as the reader wants it.
const FIRST_ROWS = 50;

function trialsTable(run, data) {
  const state = {method: "", chosen: null, sort: null, down: true, length: FIRST_ROWS};
  const methods = Object.keys(data.methods);
  const [methodSelect, stateSelect, text] = [".trials-method", ".trials-state", ".trials-text"].map((name) => run.querySelector(name));
  const only = () => (methods.length === 1 ? methods[0] : state.method);
  const update = () => {
    const columns = trialColumns(data, only());
    const rows = sorted(data.trials.filter((trial) => matches(trial, state, stateSelect.value, text.value)), columns, state);
    drawTrials(run, columns, rows, state, (column) => {
      state.down = state.sort === column ? !state.down : true;
      state.sort = column;
      update();
    });
    run.querySelector(".trials-words").textContent = `${rows.length} of ${data.trials.length} trials`;
  };
  if (methodSelect) {
    fillSelect(methodSelect, [["", "all"], ...methods.map((method) => [method, data.methods[method].label])], "");
    methodSelect.addEventListener("change", () => { Object.assign(state, {method: methodSelect.value, chosen: null}); update(); });
  }
  const states = [...new Set(data.trials.map((trial) => trial.state))];
  fillSelect(stateSelect, [["", "all"], ...states.map((name) => [name, name])], "");
  stateSelect.addEventListener("change", update);
  text.addEventListener("input", update);
  run.querySelector(".trials-more").addEventListener("click", () => { state.length = Infinity; update(); });
  update();
  return (method, chosen) => {
    Object.assign(state, {method, chosen});
    if (methodSelect) methodSelect.value = method;
    update();
  };
}

function matches(trial, state, wanted, text) {
  if (state.method && trial.method !== state.method) return false;
  if (state.chosen && (trial.kind === "refit" || !state.chosen.has(trial.number))) return false;
  if (wanted && trial.state !== wanted) return false;
  return !text || searchable(trial).includes(text.trim().toLowerCase());
}

const settingsText = (trial) => Object.entries(trial.settings).map(([name, value]) => `${name}=${value}`).join(" ");
const searchable = (trial) => `${trial.name} ${trial.kind} ${trial.state} ${settingsText(trial)} ${trial.note}`.toLowerCase();

function trialColumns(data, method) {
  const axes = method ? data.methods[method].axes.map((name) => ({name, value: (trial) => trial.settings[name] ?? ""}))
    : [{name: "settings", value: settingsText}];
  return [
    {name: "trial", value: (trial) => trial.name, key: (trial) => [trial.method, trial.number]},
    {name: "kind", value: (trial) => trial.kind},
    {name: "state", value: (trial) => trial.state},
    {name: data.metric, number: true, value: (trial) => (trial.value === null ? "–" : trial.value.toFixed(1)), key: (trial) => trial.value},
    {name: "lambda", number: true, value: (trial) => trial.lambda},
    ...[["best step", "best_step"], ["steps", "steps"], ["device s", "seconds"]].map(([name, key]) => (
      {name, number: true, value: (trial) => (trial[key] === null ? "" : String(Math.round(trial[key]))), key: (trial) => trial[key]})),
    ...axes,
    {name: "label, reason", value: (trial) => trial.note},
  ];
}

function sorted(rows, columns, state) {
  const column = columns.find((one) => one.name === state.sort);
  if (!column) return rows; // as they come: by value, refits last
  const key = column.key ?? column.value;
  return [...rows].sort((one, other) => compare(key(one), key(other), state.down));
}

function compare(one, other, down) { // nothing goes last, whichever way; numbers as numbers
  const empty = (value) => value === null || value === "" || value === "–";
  if (empty(one) || empty(other)) return empty(one) - empty(other);
  if (Array.isArray(one)) return compare(one[0], other[0], down) || compare(one[1], other[1], down);
  const [first, second] = [Number(one), Number(other)];
  const order = Number.isNaN(first) || Number.isNaN(second) ? String(one).localeCompare(String(other)) : first - second;
  return down ? -order : order;
}

function drawTrials(run, columns, rows, state, onSort) {
  const table = run.querySelector("table.trials");
  const heading = (column) => {
    const button = element("button", {type: "button"}, column.name);
    button.addEventListener("click", () => onSort(column.name));
    const order = state.sort === column.name ? {"aria-sort": state.down ? "descending" : "ascending"} : {};
    return element("th", {...order, ...(column.number ? {class: "num"} : {})}, button);
  };
  const cell = (column, trial) => element("td", column.number ? {class: "num"} : {}, column.value(trial));
  table.tHead.replaceChildren(element("tr", {}, ...columns.map(heading)));
  table.tBodies[0].replaceChildren(...rows.slice(0, state.length).map((trial) =>
    element("tr", {"data-trial": trial.name}, ...columns.map((column) => cell(column, trial)))));
  const more = run.querySelector(".trials-more");
  more.hidden = rows.length <= state.length;
  more.textContent = `show all ${rows.length}`;
}
