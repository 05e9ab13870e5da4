// One pair after another: show both images at once, take the answers, send them together.
"use strict";
const byId = (id) => document.getElementById(id);
const study = byId("study");
const images = { left: byId("left"), right: byId("right") };
const groups = [...document.querySelectorAll(".question")];
const SMALL = 128; // pixels: smaller images are enlarged without smoothing
let question = null; // the token of the open question
let choices = {};
let order = []; // categories in the order in which they were answered
let waiting = false; // for the server
let retry = null; // what Next does after a problem, in place of sending

async function ask(path, body) {
  const options = { headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("There is no connection. Your choices are still here.");
  }
  if (response.status === 401) {
    location.replace("/");
    return new Promise(() => {});
  }
  const answer = await response.json().catch(() => ({}));
  if (response.status === 409) return ask("/api/question"); // answered in another window
  if (!response.ok) throw new Error(answer.error || "The server has a problem. Try again.");
  return answer;
}

async function load(image, address) {
  image.src = address;
  await image.decode();
  image.classList.toggle("small", image.naturalWidth < SMALL);
}

async function show(next) {
  if (next.done) {
    end("done");
    return;
  }
  question = next.question;
  choices = {};
  order = [];
  busy(true);
  byId("prompt").textContent = next.prompt; // as text: it may contain markup
  byId("count").textContent = `${next.position} of ${next.total}`;
  byId("progress").max = next.total;
  byId("progress").value = next.position - 1;
  draw();
  try {
    await Promise.all([load(images.left, next.left), load(images.right, next.right)]);
  } catch {
    retry = () => working(() => show(next));
    throw new Error("The images did not load.");
  }
  busy(false);
  draw();
  scrollTo(0, 0);
}

function busy(loading) {
  study.setAttribute("aria-busy", String(loading));
}

function loaded() {
  return question !== null && study.getAttribute("aria-busy") === "false";
}

// The question that the next key answers: the first open one.
function current() {
  return groups.find((group) => !(group.dataset.category in choices));
}

function draw() {
  const open = current();
  for (const group of groups) {
    group.classList.toggle("current", group === open && loaded());
    for (const button of group.querySelectorAll("button")) {
      button.disabled = !loaded() || waiting;
      const chosen = choices[group.dataset.category] === button.dataset.choice;
      button.setAttribute("aria-pressed", String(chosen));
    }
  }
  byId("next").textContent = retry ? "Try again" : "Next";
  byId("next").disabled = waiting || !(retry || (loaded() && open === undefined));
}

function choose(group, choice) {
  if (!loaded() || waiting || !group.querySelector(`[data-choice="${choice}"]`)) return;
  const category = group.dataset.category;
  choices[category] = choice;
  order = [...order.filter((name) => name !== category), category];
  draw();
}

function back() {
  if (!loaded() || waiting || !order.length) return;
  delete choices[order.pop()];
  draw();
}

async function working(action) {
  if (waiting) return;
  waiting = true;
  byId("problem").hidden = true;
  draw();
  try {
    await action();
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    byId("problem").scrollIntoView({ block: "nearest" });
  } finally {
    waiting = false;
    draw();
  }
}

function next() {
  if (byId("next").disabled) return;
  const again = retry;
  retry = null;
  if (again) again();
  else working(async () => show(await ask("/api/answer", { question, choices })));
}

function closer() {
  const larger = study.classList.toggle("closer");
  byId("closer").setAttribute("aria-pressed", String(larger));
  byId("closer").textContent = larger ? "Smaller images" : "Larger images";
}

function end(id) {
  question = null;
  study.hidden = true;
  byId("done").hidden = true;
  byId(id).hidden = false;
  byId(id).focus();
}

function leave() {
  if (!confirm("Stop here and delete all your answers?")) return;
  working(async () => {
    await ask("/api/withdraw", {});
    end("gone");
  });
}

for (const group of groups) {
  for (const button of group.querySelectorAll("button")) {
    button.addEventListener("click", () => choose(group, button.dataset.choice));
  }
}
byId("next").addEventListener("click", next);
byId("closer").addEventListener("click", closer);
for (const image of Object.values(images)) image.addEventListener("click", closer);
byId("leave").addEventListener("click", leave);
byId("leave-done").addEventListener("click", leave);

const KEYS = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", ArrowDown: "tie", 0: "tie" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || study.hidden) return;
  const choice = KEYS[event.key];
  if (choice) {
    const group = current();
    const known = document.querySelector(`[data-choice="${choice}"]`);
    if (!known) return; // ties are off: the arrow scrolls
    event.preventDefault();
    if (group) choose(group, choice);
  } else if (event.key === "Backspace") {
    event.preventDefault();
    back();
  } else if (event.key === "Enter") {
    const button = event.target.closest("button");
    const taken = button && button.dataset.choice && button.getAttribute("aria-pressed") === "true";
    if (button && button.id !== "next" && !taken) return; // it is pressed itself
    event.preventDefault();
    next();
  } else if (event.key.toLowerCase() === "z") {
    closer();
  }
});

begin();

async function begin() {
  await working(async () => {
    retry = begin;
    const first = await ask("/api/question");
    retry = null;
    await show(first);
  });
}
