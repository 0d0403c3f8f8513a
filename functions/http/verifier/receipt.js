// Checks a receipt: the entry, its signature, its place in the log, and the log's signature. No network, no page.
// The same laws as shared/ledger/verify/receipt.py; tests hold both to the same receipts.
"use strict";
globalThis.receiptCheck = (() => {
  const HASH_BYTES = 32, SIGNATURE_BYTES = 64, KEY_ID_BYTES = 4, TIME_BYTES = 8;
  const ED25519 = 1, COSIGNATURE = 4;
  const HASHES_MAX = 63, SIGNATURES_MAX = 100, CHARS_MAX = 2_000_000;
  const SIZE_MAX = 2n ** 63n - 1n;
  const PRIME = 2n ** 255n - 19n;
  // Heights of the points of low order (RFC 7748, 7): anyone can sign for such a key.
  const LOW_ORDER = new Set([
    "00".repeat(32), `01${"00".repeat(31)}`, `ec${"ff".repeat(30)}7f`,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  ]);
  const CONTROL = /[\x00-\x09\x0b-\x1f]/;
  const WHOLE = /^(?:0|[1-9][0-9]{0,18})$/;
  const TEXTS = ["ledger", "uid", "prev", "kind", "op", "kid"];
  const NUMBERS = ["v", "seq", "at", "posted", "held", "debt"];
  const encoder = new TextEncoder();

  /** A part that breaks a law; the message is a sentence. */
  class Problem extends Error {
    constructor(rule, sentence) {
      super(sentence);
      this.rule = rule;
    }
  }
  /** The text is no receipt at all. */
  class NoReceipt extends Error {}

  // ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const equal = (one, other) => one.length === other.length && one.every((byte, place) => byte === other[place]);
  const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

  function joined(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  const utf8 = (text) => encoder.encode(text);

  /** Decode base64, of which each value has exactly one text. Throws a Problem of this rule. */
  function fromBase64(text, rule, part) {
    let raw = null;
    try { raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)); } catch { /* no base64 */ }
    if (raw === null || btoa(String.fromCharCode(...raw)) !== text) throw new Problem(rule, `The ${part} is no base64 in canonical form.`);
    return raw;
  }

  function isWellFormed(text) {
    try { encodeURIComponent(text); } catch { return false; }
    return true;
  }

  // ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Return a name that stands twice in one object of this JSON text, or null. */
  function doubledName(text) {
    const open = [];
    for (const [token, string] of text.matchAll(/("(?:[^"\\]|\\.)*")(?=\s*:)|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
      if (token === "{" || token === "[") open.push(new Set());
      else if (token === "}" || token === "]") open.pop();
      else if (string !== undefined) {
        const name = JSON.parse(string), names = open[open.length - 1];
        if (names.has(name)) return name;
        names.add(name);
      }
    }
    return null;
  }

  /** Return the one text of a value (RFC 8785, without floats and nulls). Throws an Error for other values. */
  function canonical(value) {
    if (typeof value === "string" && isWellFormed(value)) return JSON.stringify(value);
    if (typeof value === "boolean") return String(value);
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value);
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    if (value === null || typeof value !== "object") throw new Error("outside the profile");
    const names = Object.keys(value).sort();
    if (names.some((name) => /[^\x00-\x7f]/.test(name))) throw new Error("a name is not ASCII");
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }

  function requireFields(name, value, fields) {
    const found = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.keys(value).sort() : [];
    if (found.join() !== [...fields].sort().join()) throw new Problem("grammar", `The ${name} must have exactly the fields ${fields.join(", ")}.`);
    return value;
  }

  function parseReceipt(text) {
    let value;
    if (text.length > CHARS_MAX) throw new NoReceipt("The text is too long for a receipt.");
    try { value = JSON.parse(text); } catch { throw new NoReceipt("The text is not JSON. Paste the whole answer, from { to }."); }
    if (value?.format !== "ics-receipt") throw new NoReceipt("This JSON is no receipt: it has no field format with the value ics-receipt.");
    const doubled = doubledName(text);
    if (doubled !== null) throw new Problem("grammar", `The receipt names the field ${doubled} twice.`);
    if (value.version !== 1) throw new Problem("grammar", "The receipt is not of version 1.");
    requireFields("receipt", value, ["format", "version", "entry", "key", "log", "proof"]);
    requireFields("entry", value.entry, ["body", "hash", "signature"]);
    requireFields("key", value.key, ["kid", "alg", "public_key"]);
    for (const [name, each] of Object.entries({ ...value.entry, ...value.key, log: value.log, proof: value.proof })) {
      if (typeof each !== "string" || !isWellFormed(each)) throw new Problem("grammar", `The field ${name} is no text.`);
    }
    if (value.key.alg !== "Ed25519") throw new Problem("grammar", "The algorithm of the key is not Ed25519.");
    return value;
  }

  function parseBody(text) {
    let body;
    try {
      body = JSON.parse(text);
      if (canonical(body) !== text) body = undefined;
    } catch { body = undefined; }
    if (body === undefined) throw new Problem("canonical", "The body of the entry is not the canonical form of its value.");
    const isObject = typeof body === "object" && !Array.isArray(body) && Array.isArray(body.postings ?? null);
    const isWhole = isObject && TEXTS.every((name) => typeof body[name] === "string") && NUMBERS.every((name) => Number.isSafeInteger(body[name]));
    if (!isWhole || body.v !== 1 || body.seq < 1 || body.at < 0) throw new Problem("grammar", "The body of the entry lacks a name that each entry has, or has it in another type.");
    return body;
  }

  // ── signatures ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Throw a Problem unless these bytes may be a key: canonical, and not of low order. */
  function requireSoundKey(raw, rule) {
    if (raw.length !== HASH_BYTES) throw new Problem(rule, "A public key has 32 bytes.");
    const height = Uint8Array.from(raw);
    height[31] &= 0x7f;
    if (BigInt(`0x${hex(height.toReversed())}`) >= PRIME) throw new Problem(rule, "The public key is not in canonical form.");
    if (LOW_ORDER.has(hex(height))) throw new Problem(rule, "The public key has a low order: anyone can sign for it.");
  }

  async function isSigned(publicKey, message, signature) {
    if (signature.length !== SIGNATURE_BYTES) return false;
    const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify("Ed25519", key, signature, message);
  }

  function requireName(name) {
    if (name === "" || /[+\s]/.test(name) || CONTROL.test(name)) throw new Problem("checkpoint", "The name of a key is empty, or holds a space or a plus sign.");
  }

  /** Parse name+hash+base64. The base64 may hold a plus sign, so only the first two part the text. */
  async function parseVkey(text) {
    const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+([^]*)$/.exec(text) ?? [];
    if (id === undefined || !/^[0-9a-f]{8}$/.test(id)) throw new Problem("checkpoint", "A log's key is name+hash+base64, where the hash has 8 digits.");
    const material = fromBase64(encoded, "checkpoint", "log's key"), kind = material[0], publicKey = material.slice(1);
    requireName(name);
    if (kind !== ED25519 && kind !== COSIGNATURE) throw new Problem("checkpoint", "The type of the log's key is not supported.");
    requireSoundKey(publicKey, "checkpoint");
    const own = hex((await sha256(utf8(`${name}\n`), material)).slice(0, KEY_ID_BYTES));
    if (own !== id) throw new Problem("checkpoint", "The hash of the log's key is not that of its name and key.");
    return { text, name, id, kind, publicKey };
  }

  function parseNote(text) {
    if (CONTROL.test(text)) throw new Problem("checkpoint", "The checkpoint holds a control character.");
    const cut = text.lastIndexOf("\n\n"), lines = text.slice(cut + 2).split("\n");
    if (cut < 0 || lines.pop() !== "" || lines.length === 0 || lines.length > SIGNATURES_MAX) throw new Problem("checkpoint", "The checkpoint has no signature lines behind an empty line, or is cut.");
    return { text: text.slice(0, cut + 1), signatures: lines.map(parseSignature) };
  }

  function parseSignature(line) {
    const [, name, encoded] = /^\u2014 ([^ ]*) ([^]*)$/.exec(line) ?? [];
    if (name === undefined) throw new Problem("checkpoint", "A signature line is a dash, a name and base64.");
    requireName(name);
    const raw = fromBase64(encoded, "checkpoint", "signature of the checkpoint");
    if (raw.length <= KEY_ID_BYTES) throw new Problem("checkpoint", "A signature of the checkpoint is too short.");
    return { name, id: hex(raw.slice(0, KEY_ID_BYTES)), signature: raw.slice(KEY_ID_BYTES) };
  }

  /** True if this key has signed the note. A signature of the key that does not fit throws a Problem. */
  async function hasSigned(vkey, note, rule = "checkpoint") {
    const own = note.signatures.filter((each) => each.name === vkey.name && each.id === vkey.id);
    for (const { signature } of own) {
      if (!(await isNoteSigned(vkey, note.text, signature))) throw new Problem(rule, `The signature of ${vkey.name} does not fit the checkpoint.`);
    }
    return own.length > 0;
  }

  async function isNoteSigned(vkey, text, signature) {
    if (vkey.kind === ED25519) return isSigned(vkey.publicKey, utf8(text), signature);
    if (signature.length < TIME_BYTES) return false;
    const seconds = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
    return seconds <= SIZE_MAX && isSigned(vkey.publicKey, utf8(`cosignature/v1\ntime ${seconds}\n${text}`), signature.slice(TIME_BYTES));
  }

  function parseCheckpoint(text) {
    const lines = text.split("\n"), [origin, size, root] = lines;
    if (lines.pop() !== "" || lines.length < 3 || lines.some((line) => line === "")) throw new Problem("checkpoint", "A checkpoint has a line each for origin, size and root.");
    if (!WHOLE.test(size) || BigInt(size) > SIZE_MAX) throw new Problem("checkpoint", "The size of the checkpoint is no whole number.");
    const hash = fromBase64(root, "checkpoint", "root of the checkpoint");
    if (hash.length !== HASH_BYTES) throw new Problem("checkpoint", "The root of the checkpoint is not 32 bytes long.");
    return { origin, size: BigInt(size), root: hash };
  }

  // ── the proof ─────────────────────────────────────────────────────────────────────────────────────────────────────

  function parseProof(text) {
    const cut = text.indexOf("\n\n"), lines = text.slice(0, Math.max(cut, 0)).split("\n"), note = text.slice(cut + 2);
    if (cut < 0 || note === "" || lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Problem("proof", "The proof does not begin with c2sp.org/tlog-proof@v1, or has no checkpoint.");
    if (lines[0]?.startsWith("extra ")) fromBase64(lines.shift().slice(6), "proof", "extra data of the proof");
    const index = lines.shift() ?? "";
    if (!index.startsWith("index ") || !WHOLE.test(index.slice(6)) || lines.length > HASHES_MAX) throw new Problem("proof", "The proof has no index, or too many hashes.");
    const hashes = lines.map((line) => fromBase64(line, "proof", "hash of the proof"));
    if (hashes.some((each) => each.length !== HASH_BYTES)) throw new Problem("proof", "A hash of the proof is not 32 bytes long.");
    return { index: BigInt(index.slice(6)), hashes, note };
  }

  /** Return the root that the proof gives for this leaf (RFC 9162, 2.1.3.2). */
  async function rootOf(leaf, index, size, hashes) {
    if (index >= size) throw new Problem("inclusion", "The log is smaller than the place of the entry.");
    let node = index, last = size - 1n, root = await sha256([0], leaf);
    for (const hash of hashes) {
      if (last === 0n) throw new Problem("inclusion", "The proof has too many hashes.");
      if (node & 1n || node === last) {
        root = await sha256([1], hash, root);
        while (!(node & 1n) && node) { node >>= 1n; last >>= 1n; }
      } else root = await sha256([1], root, hash);
      node >>= 1n;
      last >>= 1n;
    }
    if (last !== 0n) throw new Problem("inclusion", "The proof has too few hashes.");
    return root;
  }

  // ── the policy ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Parse a policy (C2SP tlog-policy), or the key of a log alone. Throws a Problem with a sentence about the line. */
  async function parsePolicy(text) {
    const policy = { logs: [], witnesses: [], groups: [], quorum: undefined }, names = new Set(), members = new Set();
    const fail = (line, sentence) => { throw new Problem("policy", `Line ${line} of the trusted keys: ${sentence}`); };
    const lines = text.replace(/\n$/, "").split("\n");
    if (lines.length === 1 && /^\S+\+[0-9a-f]{8}\+\S+$/.test(lines[0].trim())) lines.splice(0, 1, `log ${lines[0].trim()}`, "quorum none");
    for (const [place, line] of lines.entries()) {
      const number = place + 1, items = line.split(/[ \t]+/).filter(Boolean), [word, ...rest] = items;
      if (word === undefined || word.startsWith("#")) continue;
      if (/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) fail(number, "it holds a control character.");
      const fresh = (name) => { if (name === "none" || names.has(name)) fail(number, `the name ${name} is taken.`); names.add(name); };
      const known = (name) => { if (!names.has(name)) fail(number, `no earlier line defines ${name}.`); };
      const key = async (encoded) => { try { return await parseVkey(encoded); } catch (error) { return fail(number, error.message); } };
      if (word === "log" && (rest.length === 1 || rest.length === 2)) {
        const vkey = await key(rest[0]);
        if (policy.logs.some((log) => equal(log.publicKey, vkey.publicKey))) fail(number, "a log with this key stands above.");
        policy.logs.push(vkey);
      } else if (word === "witness" && (rest.length === 2 || rest.length === 3)) {
        fresh(rest[0]);
        const vkey = await key(rest[1]);
        if (vkey.kind !== COSIGNATURE) fail(number, "a witness needs a key for cosignatures.");
        if (policy.witnesses.some((each) => equal(each.vkey.publicKey, vkey.publicKey))) fail(number, "a witness with this key stands above.");
        policy.witnesses.push({ name: rest[0], vkey });
      } else if (word === "group" && rest.length >= 3) {
        const [name, rule, ...each] = rest;
        fresh(name);
        names.delete(name);
        for (const member of each) {
          known(member);
          if (members.has(member)) fail(number, `${member} is in a group already.`);
          members.add(member);
        }
        names.add(name);
        const least = rule === "all" ? each.length : rule === "any" ? 1 : /^[1-9][0-9]{0,5}$/.test(rule) ? Number(rule) : 0;
        if (least < 1 || least > each.length) fail(number, "a group needs all, any, or a number of its members.");
        policy.groups.push({ name, least, members: each });
      } else if (word === "quorum" && rest.length === 1 && policy.quorum === undefined) {
        if (rest[0] !== "none") known(rest[0]);
        policy.quorum = rest[0];
      } else fail(number, "it is no line of a policy: log, witness, group, and one quorum.");
    }
    if (policy.quorum === undefined) throw new Problem("policy", "The trusted keys have no quorum line. Without witnesses the line is: quorum none");
    return policy;
  }

  /** Return the witnesses that cosigned. Throws a Problem unless the policy accepts the note. */
  async function judged(policy, note, checkpoint) {
    const signed = [];
    for (const log of policy.logs) if (await hasSigned(log, note, "policy")) signed.push(log);
    const reached = new Set();
    for (const { name, vkey } of policy.witnesses) if (await hasSigned(vkey, note, "policy")) reached.add(name);
    const witnesses = [...reached];
    if (!signed.some((log) => log.name === checkpoint.origin)) throw new Problem("policy", "None of the keys that you trust has signed this checkpoint.");
    for (const { name, least, members } of policy.groups) if (members.filter((each) => reached.has(each)).length >= least) reached.add(name);
    if (policy.quorum !== "none" && !reached.has(policy.quorum)) throw new Problem("policy", `The cosignatures (${witnesses.join(", ") || "none"}) do not reach the quorum ${policy.quorum}.`);
    return witnesses;
  }

  // ── all of it ─────────────────────────────────────────────────────────────────────────────────────────────────────

  const STEPS = [
    ["form", "The receipt has the form that the service writes", ["grammar", "canonical", "identity"]],
    ["hash", "The fingerprint is that of the entry", ["hash"]],
    ["signature", "The service signed this entry", ["signature"]],
    ["checkpoint", "The log signed its state", ["checkpoint", "proof"]],
    ["inclusion", "The entry stands in the log", ["inclusion"]],
    ["policy", "A key that you trust vouches for the log", ["policy"]],
  ];

  /** Check the text of a receipt, with a policy's text or "". Throws NoReceipt for another text. */
  async function check(text, policyText = "") {
    const result = { findings: [], body: null, index: null, size: null, origin: null, log: null, key: null, witnesses: [], isVouched: false };
    const attempt = async (step) => {
      try { return await step(); } catch (error) {
        if (!(error instanceof Problem)) throw error;
        result.findings.push({ rule: error.rule, detail: error.message });
        return null;
      }
    };
    const receipt = await attempt(() => parseReceipt(text));
    if (receipt !== null) await follow(receipt, policyText, result, attempt);
    const rules = new Set(result.findings.map((finding) => finding.rule));
    result.isSound = rules.size === 0;
    result.steps = STEPS.map(([name, sentence, laws]) => ({ name, sentence, state: stateOf(name, laws, rules, receipt, policyText, result) }));
    return result;
  }

  function stateOf(name, laws, rules, receipt, policyText, result) {
    if (laws.some((law) => rules.has(law))) return "bad";
    if (receipt === null) return "open";
    if (name === "policy") return policyText.trim() === "" || !result.isVouched ? "open" : "good";
    return name === "inclusion" && result.size === null ? "open" : "good";
  }

  async function follow({ entry, key, log, proof }, policyText, result, attempt) {
    result.log = log;
    const body = result.body = await attempt(() => parseBody(entry.body));
    await attempt(async () => {
      if (body !== null && body.kid !== key.kid) throw new Problem("identity", `The entry names the key ${body.kid}, the receipt has the key ${key.kid}.`);
    });
    await attempt(async () => {
      const isHash = /^[0-9a-f]{64}$/.test(entry.hash) && hex(await sha256(utf8(entry.body))) === entry.hash;
      if (!isHash) throw new Problem("hash", "The hash is not that of the entry's body.");
    });
    const signature = await attempt(async () => {
      const publicKey = fromBase64(key.public_key, "signature", "public key"), raw = fromBase64(entry.signature, "signature", "signature of the entry");
      result.key = hex(await sha256(publicKey));
      requireSoundKey(publicKey, "signature");
      if (!(await isSigned(publicKey, utf8(`ics-entry-v1:${entry.hash}`), raw))) throw new Problem("signature", `The key ${key.kid} has not signed this entry.`);
      return raw;
    });
    const parsed = await attempt(() => parseProof(proof));
    if (parsed === null) return;
    const checkpoint = await attempt(() => signedCheckpoint(parsed.note, log));
    if (checkpoint === null) return;
    Object.assign(result, { index: parsed.index, size: checkpoint.size, origin: checkpoint.origin });
    await attempt(async () => {
      if (signature === null || !/^[0-9a-f]{64}$/.test(entry.hash)) throw new Problem("inclusion", "Without a valid signature the entry has no place in a log.");
      const leaf = joined(utf8("ics-leaf-v1\n"), fromHex(entry.hash), signature);
      const root = await rootOf(leaf, parsed.index, checkpoint.size, parsed.hashes);
      if (!equal(root, checkpoint.root)) throw new Problem("inclusion", `The log of ${checkpoint.size} leaves does not hold this entry at ${parsed.index}.`);
    });
    if (policyText.trim() !== "") await attempt(async () => {
      result.witnesses = await judged(await parsePolicy(policyText), checkpoint.note, checkpoint);
      result.isVouched = true;
    });
  }

  async function signedCheckpoint(text, log) {
    const note = parseNote(text), vkey = await parseVkey(log), checkpoint = parseCheckpoint(note.text);
    if (!(await hasSigned(vkey, note)) || vkey.name !== checkpoint.origin) throw new Problem("checkpoint", `The log ${vkey.name} has not signed this checkpoint of ${checkpoint.origin}.`);
    return { ...checkpoint, note };
  }

  return { check, canonical, isSigned, requireSoundKey, NoReceipt, Problem };
})();
