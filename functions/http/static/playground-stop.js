// Stopping an answer: a request of its own, as a transport may swallow a hang-up. What it cost comes back with it, or,
// while the provider still reports, at most how much it will be. It builds on playground.js, which is loaded before it.
"use strict";

const SETTLE_AGAIN_MS = 1500;
const SETTLES_MAX = 400;

// Says beside the button where stopping saves nothing.
async function noteStop(running) {
  $("stop-note").hidden = true;
  if (running === null) return;
  const { content, model, conversation } = running.turn;
  const id = conversation?.id ?? state.conversation?.id ?? null;
  const cost = await call("POST", "models/estimate-cost", { body: { content, model, conversation_id: id } });
  if (state.running === running) $("stop-note").hidden = cost.stop_saves;
}

function stopRunning() {
  const running = state.running;
  if (!running || running.stopping) return;
  $("stop").disabled = true;
  running.stopping = stopTurn(running).catch((error) => {
    running.stopping = null;
    $("stop").disabled = false;
    explain(error);
  });
}

// A turn that has not begun is remembered by its request id, and ends with its stream as soon as it begins.
async function stopTurn(running) {
  if (!running.turn.conversation) {
    running.isStopped = true;
    drawFacts(running.node, el("span", {}, "Stopped before it began: nothing is charged."));
    return running.abort();
  }
  const stopped = await askToStop(running.turn);
  if (!stopped.calls.length) return;
  running.isStopped = true;
  running.abort();
  drawEnd(running, stopped);
}

function askToStop(turn) {
  return call("POST", `chat/conversations/${turn.conversation.id}/stop`, { body: { request_id: turn.request } });
}

// How an answer ended; one that is settling is asked for again until its cost is known.
function drawEnd(running, end) {
  const { turn, text, node } = running;
  if (end.message) text.textContent = end.message.content;
  if (end.status === "settling") {
    drawFacts(node, el("b", {}, `At most ${shown(end.at_most ?? "0")} credits`), el("span", {}, "settling: the provider still has to say what was used"));
    if (!running.settling) running.settling = settle(running).catch(explain);
    return;
  }
  if (running.settling && !end.calls) return;
  node.querySelector(".facts")?.remove();
  node.append(facts(end.message ?? {}, end.usage, end.cost));
}

async function settle(running) {
  for (let asked = 0; asked < SETTLES_MAX && running.node.isConnected && state.user; asked++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_AGAIN_MS));
    const end = await askToStop(running.turn);
    if (end.calls.length && end.status !== "settling") return drawEnd(running, end);
  }
}

function drawFacts(node, ...parts) {
  node.querySelector(".facts")?.remove();
  node.append(el("div", { class: "facts" }, ...parts));
}
