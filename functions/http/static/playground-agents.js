// Agent tasks in the playground: set a goal, watch the steps appear through Firestore, cancel, resume, download. It
// builds on playground.js, which is loaded before it.
"use strict";

const TASKS_PAGE = 20;
const GOALS = [
  "Work out 1.15^30 exactly, and write it to growth.md with a sentence about it",
  "Read https://example.com and summarise it in two lines",
];
const SETTLED = ["paused", "completed", "failed", "cancelled"];
const REASONS = {
  budget_exceeded: "The budget is used up. Resume with a larger one.",
  insufficient_credits: "There are not enough credits. Get some, then resume.",
  step_limit: "The step limit is reached. Resume with more steps.",
  upstream_unavailable: "The model does not answer. Try again later.",
};

const desk = { uid: null, task: null, stops: [], known: null, steps: new Map(), cursor: null };

// --- coming here ----------------------------------------------------------------------------------------------------

async function openAgents() {
  pane("agents");
  if (desk.uid === state.user.uid) return;
  leaveTask();
  desk.uid = state.user.uid;
  try {
    await Promise.all([loadThinkers(), loadTasks()]);
  } catch (error) {
    desk.uid = null;
    explain(error);
  }
}

async function loadThinkers() {
  const models = (await call("GET", "models")).items.filter((model) => model.kind === "chat" && model.capabilities.includes("tools"));
  $("agent-model").replaceChildren(el("option", { value: "" }, "Default"), ...models.map((model) => el("option", { value: model.id }, model.display_name)));
}

async function loadTasks(isMore = false) {
  const cursor = isMore && desk.cursor ? `&cursor=${encodeURIComponent(desk.cursor)}` : "";
  const page = await call("GET", `chat/agent-tasks?limit=${TASKS_PAGE}${cursor}`);
  const rows = page.items.map(taskRow);
  if (isMore) $("tasks").append(...rows);
  else $("tasks").replaceChildren(...rows);
  desk.cursor = page.next_cursor;
  $("more-tasks").hidden = !page.next_cursor;
  $("no-tasks").hidden = $("tasks").children.length > 0;
}

function taskRow(task) {
  return el("li", { "data-task": task.id },
    el("button", { type: "button", onclick: () => showTask(task.id) }, el("span", {}, task.goal),
      el("small", {}, `${task.status} · ${shown(task.spent)} of ${shown(task.budget)} credits · ${when(task.created_at)}`)));
}

// --- beginning ------------------------------------------------------------------------------------------------------

async function beginTask(event) {
  event.preventDefault();
  const goal = $("goal").value.trim();
  if (!goal) return;
  $("begin-task").disabled = true;
  try {
    const body = { goal, budget: $("task-budget").value.trim(), model: $("agent-model").value || null };
    const task = await call("POST", "chat/agent-tasks", { body, key: crypto.randomUUID() });
    $("goal").value = "";
    showTask(task.id);
    await loadTasks();
  } catch (error) {
    explain(error);
  } finally {
    $("begin-task").disabled = false;
  }
}

// --- one task, live -------------------------------------------------------------------------------------------------

function leaveTask() {
  for (const stop of desk.stops) stop();
  Object.assign(desk, { task: null, stops: [], known: null, steps: new Map() });
  $("task").hidden = true;
  $("task-steps").replaceChildren();
}

function showTask(id) {
  leaveTask();
  desk.task = id;
  $("task").hidden = false;
  const document_ = firebase.firestore().doc(`agent_tasks/${id}`);
  const lost = () => { $("task-status").textContent = "not live"; };
  desk.stops.push(document_.onSnapshot((snapshot) => snapshot.exists && drawTaskState(snapshot.data()), lost));
  desk.stops.push(document_.collection("steps").orderBy(firebase.firestore.FieldPath.documentId()).onSnapshot(drawSteps, lost));
  $("task").scrollIntoView({ block: "nearest" });
}

function drawTaskState(known) {
  const wasSettled = desk.known !== null && SETTLED.includes(desk.known.status);
  desk.known = known;
  const isSettled = SETTLED.includes(known.status);
  $("task-goal").textContent = known.goal;
  $("task-status").textContent = known.is_cancel_asked && !isSettled ? "cancelling" : known.status;
  $("task").dataset.status = known.status;
  $("task-money").textContent = `${credits(known.spent)} of ${credits(known.budget)} credits`;
  $("task-reason").textContent = known.reason && known.status !== "completed" ? REASONS[known.reason] || known.reason.replaceAll("_", " ") : "";
  $("task-plan").replaceChildren(...known.plan.map((step) => el("li", { class: `is-${step.status}` }, step.title)));
  $("cancel-task").hidden = !["queued", "running", "paused"].includes(known.status) || known.is_cancel_asked;
  $("resume-task").hidden = !["paused", "failed"].includes(known.status);
  drawCosts();
  drawResult(known);
  if (isSettled && !wasSettled) loadTasks().catch(explain);
}

function drawResult(known) {
  $("task-answer").textContent = known.status === "completed" ? known.answer : "";
  $("task-sources").replaceChildren(...known.sources.map((source) => el("li", {}, source)));
  const artifacts = known.files.filter((file) => file.is_artifact);
  $("task-files").replaceChildren(...artifacts.map((file) =>
    el("li", {}, el("button", { type: "button", onclick: () => download(file.name).catch(explain) }, `${file.name} · ${file.bytes} bytes`))));
}

function drawSteps(snapshot) {
  for (const change of snapshot.docChanges()) {
    const step = change.doc.data();
    if (desk.steps.has(step.number)) continue;
    const node = stepNode(step);
    desk.steps.set(step.number, node);
    const after = [...$("task-steps").children].find((other) => Number(other.dataset.number) > step.number);
    $("task-steps").insertBefore(node, after || null);
  }
  drawCosts();
}

function stepNode(step) {
  const { body } = step;
  const named = { think: "Think", act: `Use ${body.tool}`, observe: `${body.tool} answered`, answer: "Answer" }[step.kind];
  const said = step.kind === "act" ? body.arguments : body.text || (body.calls || []).map((each) => each.name).join(", ");
  return el("li", { class: `step is-${step.kind}${body.failure ? " is-bad" : ""}`, "data-number": step.number },
    el("header", {}, el("b", {}, named), el("small", { class: "step-cost" })),
    el("p", {}, said.length > 600 ? `${said.slice(0, 600)} …` : said));
}

function drawCosts() {
  for (const [number, node] of desk.steps) {
    const cost = desk.known?.charges[String(number).padStart(6, "0")];
    node.querySelector(".step-cost").textContent = cost ? `${credits(cost)} credits` : `#${number}`;
  }
}

async function download(name) {
  const response = await request("GET", `chat/agent-tasks/${desk.task}/artifacts/${encodeURIComponent(name)}`);
  const address = URL.createObjectURL(await response.blob());
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function cancelTask() {
  $("cancel-task").disabled = true;
  try {
    await call("POST", `chat/agent-tasks/${desk.task}/cancel`, { body: {} });
  } catch (error) {
    explain(error);
  } finally {
    $("cancel-task").disabled = false;
  }
}

async function resumeTask(event) {
  event.preventDefault();
  const body = {};
  if ($("resume-budget").value.trim()) body.budget = $("resume-budget").value.trim();
  if (desk.known.reason === "step_limit") body.max_steps = Math.min(100, desk.known.max_steps + 25);
  try {
    await call("POST", `chat/agent-tasks/${desk.task}/resume`, { body, key: crypto.randomUUID() });
    $("resume-budget").value = "";
  } catch (error) {
    explain(error);
  }
}

// --- wiring ---------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-open='agents']")) button.addEventListener("click", () => openAgents());
document.querySelector(".dock [data-pane='agents']").addEventListener("click", () => openAgents());
$("leave-agents").addEventListener("click", () => pane("chat"));
$("begin").addEventListener("submit", beginTask);
$("cancel-task").addEventListener("click", cancelTask);
$("resume-task").addEventListener("submit", resumeTask);
$("more-tasks").addEventListener("click", () => loadTasks(true).catch(explain));
$("goals").append(...GOALS.map((goal) => el("button", { type: "button", onclick: () => { $("goal").value = goal; $("goal").focus(); } }, goal)));
