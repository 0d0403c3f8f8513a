// The page around the check: takes a receipt by file, paste or drop, and shows the verdict.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const MICRO = 1_000_000n;
  const FILE_BYTES_MAX = 4_000_000;
  const HEADLINES = { good: "This receipt is genuine", half: "This receipt is consistent in itself", bad: "This receipt is broken", none: "This is no receipt" };
  let turn = 0;

  async function judge() {
    const own = ++turn, text = at("receipt").value, policy = at("policy").value;
    at("result").hidden = text.trim() === "";
    if (text.trim() === "") return;
    if (globalThis.crypto?.subtle === undefined) return show("none", "This browser cannot check signatures here. Save the page as a file, and open the file.");
    const since = performance.now();
    try {
      const result = await receiptCheck.check(text, policy);
      if (own === turn) showResult(result, policy.trim() !== "", performance.now() - since);
    } catch (error) {
      if (own !== turn) return;
      if (error instanceof receiptCheck.NoReceipt) show("none", error.message);
      else if (error?.name === "NotSupportedError") show("none", "This browser has no Ed25519 signatures. Use a newer one: Chrome 137, Firefox 129 or Safari 17.");
      else show("none", `The check itself failed: ${error?.message ?? error}`);
    }
  }

  function show(look, sentence) {
    at("result").dataset.look = look;
    at("headline").textContent = HEADLINES[look];
    at("sentence").textContent = sentence;
    for (const id of ["steps", "facts", "limits"]) at(id).hidden = true;
  }

  function showResult(result, hasPolicy, ms) {
    const look = !result.isSound ? "bad" : result.isVouched ? "good" : "half";
    show(look, sentenceOf(result, hasPolicy));
    at("steps").replaceChildren(...result.steps.map(stepLine));
    at("facts-list").replaceChildren(...factsOf(result).flatMap(([name, value]) => [line("dt", name), line("dd", value)]));
    at("steps").hidden = false;
    at("facts").hidden = result.body === null;
    at("limits").hidden = look === "bad";
    at("time").textContent = `Checked in ${ms.toFixed(1)} ms, in this browser.`;
  }

  function sentenceOf(result, hasPolicy) {
    if (!result.isSound) return result.findings.map((finding) => finding.detail).join(" ");
    if (result.isVouched) return `A key that you trust signed the log${result.witnesses.length ? `, and ${result.witnesses.join(", ")} saw the same log` : ""}.`;
    return hasPolicy ? "The keys that you trust do not vouch for the log." : "Its parts fit together, but nobody vouches yet for the log's key: it stands in the receipt itself. Name the keys that you trust below.";
  }

  function stepLine({ sentence, state }) {
    const item = line("li", sentence);
    item.dataset.state = state;
    item.prepend(line("span", { good: "Yes: ", bad: "No: ", open: "Not checked: " }[state], "visually-hidden"));
    return item;
  }

  function factsOf({ body, index, size, origin, log, key }) {
    if (body === null) return [];
    const facts = [
      ["Service", body.ledger], ["Account", body.uid], ["Entry", `number ${body.seq}, ${body.kind}`],
      ["Time", timeOf(body.at)],
      ...body.postings.map((each) => ["Moved", `${credits(each.amount)} credits from ${each.from} to ${each.to}`]),
      ["Available after", `${credits(body.posted)} credits`],
    ];
    if (size !== null) facts.push(["Log", origin], ["Place in the log", `leaf ${index} of ${size}`]);
    return [...facts, ["Key of the entry", `${body.kid}, SHA256:${key ?? "?"}`], ["Key of the log", log]];
  }

  function timeOf(ms) {
    const time = new Date(ms);
    return Number.isNaN(time.getTime()) ? "?" : time.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
  }

  function credits(micro) {
    if (!Number.isSafeInteger(micro)) return "?";
    const size = BigInt(Math.abs(micro)), rest = String(size % MICRO).padStart(6, "0").replace(/0+$/, "");
    return `${micro < 0 ? "−" : ""}${size / MICRO}${rest ? `.${rest}` : ""}`;
  }

  function line(tag, text, style = "") {
    const element = document.createElement(tag);
    element.textContent = text;
    if (style) element.className = style;
    return element;
  }

  async function take(files, target) {
    const [file] = files;
    if (file === undefined) return;
    if (file.size > FILE_BYTES_MAX) {
      at("result").hidden = false;
      return show("none", "This file is too large for a receipt.");
    }
    at(target).value = await file.text();
    await judge();
  }

  for (const id of ["receipt", "policy"]) {
    at(id).addEventListener("input", judge);
    at(`${id}-file`).addEventListener("change", (event) => take(event.target.files, id).then(() => { event.target.value = ""; }));
  }
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("is-over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("is-over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("is-over");
    take(event.dataTransfer.files, "receipt");
  });
  at("theme").addEventListener("click", () => toggleTheme());
  at("clear").addEventListener("click", () => {
    at("receipt").value = "";
    judge();
    at("receipt").focus();
  });
  judge();
})();
