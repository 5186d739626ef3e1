"use strict";
// Parallel coordinates: one path a trial; a drag along an axis keeps the trials that pass there.
function parallelCoordinates(run, data, onBrush) {
  const place = run.querySelector(".parallel-place");
  if (!place) return;
  const select = run.querySelector(".parallel-method");
  const methods = Object.keys(data.parallel);
  const first = methods.includes(data.best) ? data.best : methods[0];
  const draw = (method) => {
    place.replaceChildren(parallelPicture(data, method, (chosen) => {
      const words = chosen ? `${chosen.size} of ${data.parallel[method].lines.length} trials chosen` : "";
      run.querySelector(".parallel-words").textContent = words;
      onBrush(method, chosen);
    }));
    run.querySelector(".parallel-words").textContent = "";
  };
  if (select) {
    fillSelect(select, methods.map((method) => [method, data.methods[method].label]), first);
    select.addEventListener("change", () => { draw(select.value); onBrush(select.value, null); });
  }
  draw(first);
}

const AREA = {width: 1112, height: 430, left: 74, right: 44, top: 92, bottom: 384}; // height 1 is at the top, 0 at the bottom
const toY = (height) => AREA.bottom - height * (AREA.bottom - AREA.top);
const toHeight = (y) => (AREA.bottom - y) / (AREA.bottom - AREA.top);

function parallelPicture(data, method, onBrush) {
  const {axes, lines} = data.parallel[method];
  const toX = (at) => AREA.left + (at * (AREA.width - AREA.left - AREA.right)) / Math.max(1, axes.length - 1);
  const picture = shape("svg", {viewBox: `0 0 ${AREA.width} ${AREA.height}`, class: "parallel", role: "img",
    "aria-label": `settings and result of ${lines.length} trials`, "data-method": method});
  const byNumber = new Map(data.trials.filter((trial) => trial.method === method && trial.kind !== "refit")
    .map((trial) => [trial.number, trial]));
  const paths = lines.map((line) => parallelLine(line, toX, byNumber.get(line.number)));
  picture.append(shape("g", {}, ...paths));
  const brushes = new Map(); // axis -> [low, high]
  const update = () => {
    const inside = (line) => [...brushes].every(([at, [low, high]]) => line.heights[at] >= low && line.heights[at] <= high);
    const kept = lines.filter((line, place) => {
      paths[place].classList.toggle("off", !inside(line));
      return inside(line);
    });
    onBrush(brushes.size ? new Set(kept.map((line) => line.number)) : null);
  };
  axes.forEach(([, ticks], at) => picture.append(parallelAxis(picture, ticks, toX(at), (range) => {
    if (range) brushes.set(at, range); else brushes.delete(at);
    update();
  })));
  axes.forEach(([name], at) => picture.append(axisName(name, toX(at), at === axes.length - 1)));
  return picture;
}

function axisName(name, x, last) { // the last one is the result: level, above the others
  const [across, up] = [last ? AREA.width - 4 : x, last ? 14 : toY(1) - 10];
  const turn = last ? {"text-anchor": "end"} : {transform: `rotate(-18 ${across} ${up})`};
  return shape("text", {x: across, y: up, "font-weight": 650, ...turn}, name);
}

function parallelLine(line, toX, trial) {
  const points = line.heights.map((height, at) => `${toX(at).toFixed(1)},${toY(height).toFixed(1)}`);
  const path = shape("path", {d: `M${points.join("L")}`, class: line.look});
  if (line.look === "whole") path.style.stroke = line.shade;
  const settings = Object.entries(trial.settings).map(([name, value]) => `${name}=${value}`).join(" ");
  path.append(shape("title", {}, `${trial.name} ${trial.state} ${percentText(trial.value)} % ${settings}`));
  return path;
}

function parallelAxis(picture, ticks, x, onRange) {
  const group = shape("g", {}, shape("line", {class: "axis", x1: x, x2: x, y1: toY(1), y2: toY(0)}));
  for (const [height, text] of ticks) {
    group.append(shape("text", {x: x - 5, y: toY(height) + 4, "text-anchor": "end"}, text));
  }
  const brush = shape("rect", {class: "brush", x: x - 8, width: 16, y: 0, height: 0, visibility: "hidden"});
  const grip = shape("rect", {class: "grip", x: x - 14, width: 28, y: toY(1) - 6, height: toY(-0.1) - toY(1) + 14});
  group.append(brush, grip);
  grip.addEventListener("pointerdown", (event) => {
    const at = (move) => pointIn(picture, move).y;
    const start = at(event);
    grip.setPointerCapture(event.pointerId);
    const moved = (move) => {
      const [top, bottom] = [start, at(move)].sort((one, other) => one - other);
      brush.setAttribute("y", top);
      brush.setAttribute("height", bottom - top);
      const chosen = bottom - top >= 3; // a click lets go
      brush.setAttribute("visibility", chosen ? "visible" : "hidden");
      onRange(chosen ? [toHeight(bottom), toHeight(top)] : null);
    };
    const ended = () => {
      grip.removeEventListener("pointermove", moved);
      grip.removeEventListener("pointerup", ended);
      grip.removeEventListener("pointercancel", ended);
    };
    grip.addEventListener("pointermove", moved);
    grip.addEventListener("pointerup", ended);
    grip.addEventListener("pointercancel", ended);
    moved(event);
  });
  return group;
}

function pointIn(picture, event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
}
