"use strict";
// One query, and what every row of the table answered.
function queryPicker(run, data) {
  const picker = run.querySelector(".query-picker");
  if (!picker) return;
  const {groups, items} = data.queries;
  const queries = groups.flatMap(([, found]) => found);
  let at = 0;
  for (const [title, found] of groups) {
    const options = found.map((query) => element("option", {value: at++}, `${items[query.item][1]}: ${items[query.item][0]}`));
    if (options.length) picker.append(element("optgroup", {label: title}, ...options));
  }
  const show = () => drawAnswers(run, data, queries[Number(picker.value)]);
  const step = (by) => { picker.value = (Number(picker.value) + by + queries.length) % queries.length; show(); };
  picker.addEventListener("change", show);
  run.querySelector(".query-previous").addEventListener("click", () => step(-1));
  run.querySelector(".query-next").addEventListener("click", () => step(1));
  picker.value = "0";
  show();
}

function drawAnswers(run, data, query) {
  const {rows, items} = data.queries;
  const [name, label] = items[query.item];
  const asked = element("div", {class: "asked"}, tile(items[query.item], null), element("p", {}, `${label}, ${name}`));
  const lines = rows.map((row, at) => {
    const words = element("div", {class: "name"}, row, element("span", {class: "sub"}, `${data.metric} ${percentText(query.values[at])}`));
    const tiles = query.answers[at].map(([item, mark]) => tile(items[item], mark));
    return element("div", {class: "side", "data-row": row}, words, ...tiles);
  });
  run.querySelector(".query-answers").replaceChildren(asked, ...lines);
}

const MARKS = [["wrong", "wrong", "✗"], ["right", "right", "✓"], ["right own", "the item that was drawn", "◎"]];

function tile([name, label, picture, words], mark) {
  const [kind, meaning, sign] = mark === null ? ["query", "", ""] : MARKS[mark];
  const face = picture ? element("img", {src: `data:image/jpeg;base64,${picture}`, alt: name})
    : element("span", {class: "words"}, words || name.split("/").at(-1));
  const corner = sign ? [element("span", {class: "mark", "aria-label": meaning}, sign)] : [];
  return element("figure", {class: `tile ${kind}`, title: name}, element("div", {class: "face"}, face), ...corner,
    element("figcaption", {}, label || name));
}
