// Agent tasks in the playground: set a goal, watch the steps appear through Firestore, cancel, resume, download. It
// builds on playground.js, which is loaded before it.
"use strict";

const TASKS_PAGE = 20;
const GOALS = [
  "Work out 1.15^30 exactly, and write it to growth.md with a sentence about it",
  "Read https://example.com and summarise it in two lines",
  "Paint a lighthouse at dusk, and note in cover.md what it is for",
];
const SETTLED = ["paused", "completed", "failed", "cancelled"];
// Why a task rests, and what may be done about it; then why one waits, and is gone on with by itself.
const REASONS = {
  budget_exceeded: "The budget is used up. Resume with a larger one.",
  insufficient_credits: "There are not enough credits. Get some, then resume.",
  step_limit: "The step limit is reached. Resume for 25 more.",
  upstream_unavailable: "The model does not answer. Resume later.",
  upstream_rejected: "The model refused this. Another goal may help.",
  api_key_revoked: "Its API key was revoked. Resume it as yourself.",
  api_key_expired: "Its API key has expired. Resume it as yourself.",
  login_disabled: "The login of this account is disabled or deleted.",
  account_frozen: "This account is frozen until an operator has looked.",
  model_not_found: "This model is not offered any more. Begin anew with another.",
  stuck: "This task failed again and again; an operator was told. It may be resumed.",
  internal_error: "Something went wrong on our side; an operator was told. It may be resumed.",
};
const WAITS = {
  upstream_unavailable: "The model does not answer.", rate_limited: "Too many calls at once.",
  insufficient_credits: "Other calls hold the credits.", budget_exceeded: "Other steps hold the budget.",
  identity_unavailable: "The identity provider does not answer.",
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
  for (const id of ["task-steps", "task-images"]) $(id).replaceChildren();
}

// Whoever comes next sees nothing of whoever was here.
function leaveAgents() {
  leaveTask();
  desk.uid = null;
  $("tasks").replaceChildren();
  $("begin").reset();
}

function reasonOf(known) {
  if (!known.reason || known.status === "completed") return "";
  const words = known.reason.replaceAll("_", " ");
  return known.status === "queued" ? `${WAITS[known.reason] || `${words}.`} It is tried again by itself.` : REASONS[known.reason] || words;
}

function showTask(id) {
  leaveTask();
  desk.task = id;
  $("task").hidden = false;
  const document_ = firebase.firestore().doc(`agent_tasks/${id}`);
  const lost = () => { $("task-status").textContent = "not live"; };
  desk.stops.push(document_.onSnapshot((snapshot) => snapshot.exists && drawListened(id, snapshot.data()).catch(explain), lost));
  desk.stops.push(document_.collection("steps").orderBy(firebase.firestore.FieldPath.documentId()).onSnapshot(drawSteps, lost));
  $("task").scrollIntoView({ block: "nearest" });
}

// A task that ended before its document had the names of REST is read by REST.
async function drawListened(id, known) {
  if (!("v" in known)) return drawTaskState(known);
  const [task, steps] = [await call("GET", `chat/agent-tasks/${id}`), await call("GET", `chat/agent-tasks/${id}/steps?limit=100`)];
  if (desk.task !== id) return;
  drawTaskState(task);
  steps.items.forEach(drawStep);
}

function drawTaskState(known) {
  const wasSettled = desk.known !== null && SETTLED.includes(desk.known.status);
  desk.known = known;
  const isSettled = SETTLED.includes(known.status);
  $("task-goal").textContent = known.goal;
  $("task-status").textContent = known.is_cancel_asked && !isSettled ? "cancelling" : known.status;
  $("task").dataset.status = known.status;
  $("task-money").textContent = `${shown(known.spent)} of ${shown(known.budget)} credits`;
  $("task-reason").textContent = reasonOf(known);
  $("task-plan").replaceChildren(...known.plan.map((step) => el("li", { class: `is-${step.status}` }, step.title)));
  $("cancel-task").hidden = !["queued", "running", "paused"].includes(known.status) || known.is_cancel_asked;
  $("resume-task").hidden = !["paused", "failed"].includes(known.status);
  $("resume-budget").required = known.reason === "budget_exceeded";
  $("resume-budget").placeholder = `Now ${shown(known.budget)}`;
  drawResult(known);
  if (isSettled && !wasSettled) loadTasks().catch(explain);
}

function drawResult(known) {
  $("task-answer").textContent = known.result ? known.result.answer : "";
  $("task-sources").replaceChildren(...(known.result?.sources || []).map((source) => el("li", {}, sourceNode(source))));
  drawPainted(known.result?.images || []).catch(explain);
  const artifacts = known.files.filter((file) => file.is_artifact);
  $("task-files").replaceChildren(...artifacts.map((file) =>
    el("li", {}, el("button", { type: "button", onclick: () => download(file.name).catch(explain) }, `${file.name} · ${file.bytes} bytes`))));
}

// A page that was read, or the name of a file of the task.
function sourceNode(source) {
  return /^https?:/.test(source) ? el("a", { href: source, target: "_blank", rel: "noopener noreferrer" }, source) : source;
}

// The images that the task has painted, each once.
async function drawPainted(ids) {
  const list = $("task-images");
  for (const id of ids.filter((each) => !list.querySelector(`[data-painted="${each}"]`))) {
    const tile = el("li", { class: "tile", "data-painted": id });
    list.append(tile);
    try {
      tile.append(imageButton(await call("GET", `images/${id}`)));
    } catch (error) {
      if (error.code !== "image_not_found") throw error;
      tile.append(el("span", {}, "deleted"));
    }
  }
}

function drawSteps(snapshot) {
  for (const change of snapshot.docChanges()) {
    const step = change.doc.data();
    if (!("body" in step)) drawStep(step);
  }
}

// A step changes once more, when it is charged.
function drawStep(step) {
  const known = desk.steps.get(step.number);
  const node = known || stepNode(step);
  node.querySelector(".step-cost").textContent = step.cost === "0" ? `#${step.number}` : `${shown(step.cost)} credits`;
  if (known) return;
  desk.steps.set(step.number, node);
  const after = [...$("task-steps").children].find((other) => Number(other.dataset.number) > step.number);
  $("task-steps").insertBefore(node, after || null);
}

function stepNode(step) {
  const named = { think: "Think", act: `Use ${step.tool}`, observe: `${step.tool} answered`, answer: "Answer" }[step.kind];
  // The answer stands below all steps.
  const said = step.kind === "answer" ? "" : step.kind === "act" ? told(step.arguments) : step.text || step.calls.map((each) => each.name).join(", ");
  return el("li", { class: `step is-${step.kind}${step.failure ? " is-bad" : ""}`, "data-number": step.number },
    el("header", {}, el("b", {}, named), el("small", { class: "step-cost" })),
    el("p", {}, said.length > 600 ? `${said.slice(0, 600)} …` : said));
}

// Arguments as a person reads them; as they are, if a model wrote no JSON.
function told(text) {
  try {
    const say = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    return Object.entries(JSON.parse(text)).map(([name, value]) => `${name}: ${say(value)}`).join("\n");
  } catch {
    return text;
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
document.addEventListener("user", (event) => event.detail || leaveAgents());
$("begin").addEventListener("submit", beginTask);
$("cancel-task").addEventListener("click", cancelTask);
$("resume-task").addEventListener("submit", resumeTask);
$("more-tasks").addEventListener("click", () => loadTasks(true).catch(explain));
$("goals").append(...GOALS.map((goal) => el("button", { type: "button", onclick: () => { $("goal").value = goal; $("goal").focus(); } }, goal)));
