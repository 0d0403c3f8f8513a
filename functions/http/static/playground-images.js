// Images in the playground: ask for some, watch each arrive through Firestore, keep them in a gallery. It builds on
// playground.js, which is loaded before it.
"use strict";

const IMAGES_PAGE = 24;
const IMAGE_IDEAS = ["A fox in fresh snow, linocut", "A ledger that grows leaves", "Coins raining on a quiet sea"];

const studio = { uid: null, models: [], tasks: new Map(), cursor: null };

const imageAddress = (image) => new URL(`.${image.link}`, new URL("../", api)).href;

// --- coming here ----------------------------------------------------------------------------------------------------

async function openImages() {
  pane("images");
  if (studio.uid === state.user.uid) return;
  forgetStudio();
  studio.uid = state.user.uid;
  try {
    await Promise.all([loadPainters(), loadGallery()]);
  } catch (error) {
    studio.uid = null;
    explain(error);
  }
}

function forgetStudio() {
  for (const task of studio.tasks.values()) task.stop();
  studio.tasks.clear();
  $("easel").replaceChildren();
  $("gallery").replaceChildren();
}

function leaveStudio() {
  forgetStudio();
  studio.uid = null;
  $("paint").reset();
  studio.models = [];
  offerToPaint();
  $("image-dialog").close();
}

async function loadPainters() {
  const [models, preferences] = [(await call("GET", "models")).items, await call("GET", "models/preferences")];
  studio.models = models.filter((model) => model.kind === "image");
  const chosen = studio.models.find((model) => model.id === preferences.image_model) || studio.models[0];
  $("painter").replaceChildren(...studio.models.map((model) => el("option", { value: model.id, selected: model === chosen }, model.display_name)));
  $("paint").hidden = !chosen;
  $("no-painter").hidden = Boolean(chosen);
  drawSizes();
  offerToPaint();
}

const painter = () => studio.models.find((model) => model.id === $("painter").value);

// Until the models are here, a request could name none.
function offerToPaint() {
  $("paint-send").disabled = !painter();
}

function drawSizes() {
  const sizes = Object.keys(painter()?.image_credits_by_size || {}).sort();
  $("image-size").replaceChildren(...sizes.map((size) => el("option", { value: size, selected: size === "1024x1024" }, size.replace("x", " × "))));
  drawPrice();
}

function drawPrice() {
  const credits = painter()?.image_credits_by_size[$("image-size").value];
  const count = Number($("image-count").value);
  $("paint-price").textContent = credits ? `${count} × ${credits} credits; an image that is not made costs nothing` : "";
}

// --- painting -------------------------------------------------------------------------------------------------------

async function paint(event) {
  event.preventDefault();
  const prompt = $("image-prompt").value.trim();
  if (!prompt) return;
  $("paint-send").disabled = true;
  try {
    const body = { prompt, model: $("painter").value, size: $("image-size").value, n: Number($("image-count").value) };
    const begun = await call("POST", "images/generate", { body, key: crypto.randomUUID() });
    $("image-prompt").value = "";
    watchTask(begun, prompt);
  } catch (error) {
    explain(error);
  } finally {
    offerToPaint();
  }
}

function watchTask(begun, prompt) {
  const tiles = Array.from({ length: begun.n }, () => el("li", { class: "tile is-coming" }));
  for (const tile of tiles) tile.style.aspectRatio = begun.size.replace("x", " / ");
  const status = el("span", { class: "task-status", title: `${shown(begun.ceiling)} credits are set aside` }, "queued");
  const node = el("section", { class: "task" }, el("header", {}, el("b", {}, prompt), status), el("ul", { class: "tiles" }, ...tiles));
  $("easel").prepend(node);
  const task = { id: begun.task_id, n: begun.n, tiles, status, node, made: 0, shownImages: 0, isReading: false };
  const document_ = firebase.firestore().doc(`image_tasks/${begun.task_id}`);
  task.stop = document_.onSnapshot((snapshot) => snapshot.exists && drawTask(task, snapshot.data()), () => { status.textContent = "not live"; });
  studio.tasks.set(task.id, task);
}

// What is known at this moment: decided images in order, then one that is being painted, then those that wait.
function drawTask(task, known) {
  const decided = known.images.length + known.failures.length;
  const isOver = known.status === "done" || known.status === "failed";
  task.tiles.forEach((tile, index) => tile.classList.toggle("is-painting", !isOver && known.status === "running" && index === decided));
  for (const failure of known.failures) drawFailure(task.tiles[failure.index], failure.code);
  task.status.textContent = isOver ? `${known.status} · ${shown(known.cost)} credits` : known.status === "running" ? `${decided} of ${task.n}` : known.status;
  task.node.classList.toggle("is-over", isOver);
  task.made = known.images.length;
  showNew(task).catch(explain);
  if (isOver) task.stop();
}

function drawFailure(tile, code) {
  if (tile.classList.contains("is-failed")) return;
  tile.className = "tile is-failed";
  tile.replaceChildren(el("span", {}, code.replaceAll("_", " ")));
}

async function showNew(task) {
  if (task.isReading) return;
  task.isReading = true;
  try {
    while (task.made > task.shownImages) drawNew(task, await call("GET", `images/generate/${task.id}`));
  } finally {
    task.isReading = false;
  }
}

function drawNew(task, told) {
  const failed = new Set(told.failures.map((failure) => failure.index));
  const places = task.tiles.filter((_, index) => !failed.has(index));
  told.images.slice(task.shownImages).forEach((image, index) => {
    drawImage(places[task.shownImages + index], image);
    $("gallery").prepend(galleryTile(image));
  });
  task.shownImages = Math.max(told.images.length, task.made);
  drawEmpty();
}

function drawImage(tile, image) {
  tile.className = "tile";
  tile.replaceChildren(imageButton(image));
}

function imageButton(image) {
  // A link lives for some minutes only; a page that is open for longer asks for another, once.
  const renew = async (event) => { event.target.src = imageAddress(await call("GET", `images/${image.id}`)); };
  const picture = el("img", { src: imageAddress(image), alt: image.prompt, loading: "lazy", width: image.width, height: image.height });
  picture.addEventListener("error", (event) => renew(event).catch(explain), { once: true });
  return el("button", { type: "button", "data-image": image.id, "aria-label": `Show ${image.prompt}`, onclick: () => showImage(image.id).catch(explain) }, picture);
}

// --- the gallery ----------------------------------------------------------------------------------------------------

async function loadGallery(isMore = false) {
  const cursor = isMore && studio.cursor ? `&cursor=${encodeURIComponent(studio.cursor)}` : "";
  const page = await call("GET", `images?limit=${IMAGES_PAGE}${cursor}`);
  const tiles = page.items.map(galleryTile);
  if (isMore) $("gallery").append(...tiles);
  else $("gallery").replaceChildren(...tiles);
  studio.cursor = page.next_cursor;
  $("more-images").hidden = !page.next_cursor;
  drawEmpty();
}

function galleryTile(image) {
  return el("li", { class: "tile", "data-tile": image.id }, imageButton(image));
}

function drawEmpty() { $("no-images").hidden = $("gallery").children.length > 0; }

async function showImage(id) {
  const image = await call("GET", `images/${id}`);
  $("shown-image").src = imageAddress(image);
  $("shown-image").alt = image.prompt;
  $("shown-prompt").textContent = image.prompt;
  $("shown-facts").textContent = `${image.width} × ${image.height} · ${Math.ceil(image.bytes / 1024)} kB · ${image.model} · ${shown(image.cost)} credits · ${when(image.created_at)}`;
  $("drop-image").onclick = () => dropImage(image.id).catch(explain);
  $("image-dialog").showModal();
}

async function dropImage(id) {
  await call("DELETE", `images/${id}`);
  for (const node of document.querySelectorAll(`[data-tile="${id}"]`)) node.remove();
  for (const node of document.querySelectorAll(`[data-image="${id}"]`)) node.closest(".tile").replaceChildren(el("span", {}, "deleted"));
  $("image-dialog").close();
  drawEmpty();
}

// --- wiring ---------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-open='images']")) button.addEventListener("click", () => openImages());
document.querySelector(".dock [data-pane='images']").addEventListener("click", () => openImages());
$("leave-images").addEventListener("click", () => pane("chat"));
document.addEventListener("user", (event) => event.detail || leaveStudio());
$("paint").addEventListener("submit", paint);
$("painter").addEventListener("change", drawSizes);
$("image-size").addEventListener("change", drawPrice);
$("image-count").addEventListener("change", drawPrice);
$("image-prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("paint").requestSubmit(); }
});
$("more-images").addEventListener("click", () => loadGallery(true).catch(explain));
$("close-image").addEventListener("click", () => $("image-dialog").close());
$("image-ideas").append(...IMAGE_IDEAS.map((idea) => el("button", { type: "button", onclick: () => { $("image-prompt").value = idea; $("image-prompt").focus(); } }, idea)));
