"use strict";
// Strokes are QuickDraw's: [[xs, ys], ...], here in 400ths of the pad. The server rasterises them as for training.

const SIDE = 400; // the pad's own size in CSS pixels, so that whole pixels stay whole numbers
const PAUSE = 120; // milliseconds between two searches while the pen is down
const pad = document.getElementById("pad");
const pen = pad.getContext("2d");
const answers = document.getElementById("answers");
const status = document.getElementById("status");
const strokes = [];
let drawing = null; // the pointer that is down
let version = 0; // of the drawing; an answer to an older one still shows, until the next comes
let asked = 0;
let waiting = false;

function point(event) {
  const box = pad.getBoundingClientRect();
  const x = ((event.clientX - Math.round(box.left + pad.clientLeft)) * SIDE) / pad.clientWidth;
  const y = ((event.clientY - Math.round(box.top + pad.clientTop)) * SIDE) / pad.clientHeight;
  return [Math.round(x * 1000) / 1000, Math.round(y * 1000) / 1000];
}

function add(event) {
  const stroke = strokes[strokes.length - 1];
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const one of events.length ? events : [event]) {
    const [x, y] = point(one);
    stroke[0].push(x);
    stroke[1].push(y);
  }
  changed();
}

function paint() {
  pen.setTransform(pad.width / SIDE, 0, 0, pad.height / SIDE, 0, 0);
  pen.clearRect(0, 0, SIDE, SIDE);
  pen.lineWidth = 5;
  pen.lineCap = pen.lineJoin = "round";
  for (const [xs, ys] of strokes) {
    pen.beginPath();
    pen.moveTo(xs[0], ys[0]);
    for (let i = 0; i < xs.length; i += 1) pen.lineTo(xs[i], ys[i]);
    pen.stroke();
  }
}

function changed() {
  version += 1;
  document.getElementById("undo").disabled = document.getElementById("clear").disabled = strokes.length === 0;
  paint();
  search();
}

// One search at a time: while it is under way the drawing goes on, and the latest state is asked for next.
async function search() {
  if (waiting || asked === version) return;
  asked = version;
  if (strokes.length === 0) {
    show([]);
    say("Draw something");
    return;
  }
  waiting = true;
  const started = performance.now();
  try {
    const body = JSON.stringify({ drawing: strokes });
    const response = await fetch("/search", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    if (strokes.length) {
      show(found.answers);
      const { feature, ranking } = found.milliseconds;
      const whole = Math.round(performance.now() - started);
      say(`${whole} ms: feature ${feature.toFixed(0)}, ranking ${ranking.toFixed(1)}`);
    }
  } catch (error) {
    say(error.message, true);
  }
  setTimeout(() => {
    waiting = false;
    search();
  }, drawing === null ? 0 : PAUSE);
}

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
  status.dataset.version = asked;
}

function show(found) {
  answers.replaceChildren(...found.map((answer, place) => {
    const item = document.createElement("li");
    item.dataset.item = answer.item_id;
    const image = document.createElement("img");
    image.src = "/photo/" + answer.item_id.split("/").map(encodeURIComponent).join("/");
    image.alt = "";
    image.addEventListener("error", () => image.remove());
    const name = document.createElement("b");
    name.textContent = answer.class_name;
    const small = document.createElement("small");
    small.textContent = `${place + 1} · ${answer.distance.toFixed(3)}`;
    item.append(image, name, small);
    return item;
  }));
}

pad.addEventListener("pointerdown", (event) => {
  if (drawing !== null || event.button !== 0) return;
  event.preventDefault();
  drawing = event.pointerId;
  pad.setPointerCapture(drawing);
  strokes.push([[], []]);
  add(event);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId === drawing) add(event);
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId !== drawing) return;
    drawing = null;
    search();
  });
}
function undo() {
  strokes.pop();
  changed();
}
document.getElementById("undo").addEventListener("click", undo);
document.getElementById("clear").addEventListener("click", () => {
  strokes.length = 0;
  changed();
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && strokes.length) {
    event.preventDefault();
    undo();
  }
});
