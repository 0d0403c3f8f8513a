// Judges statements of a log with npm's @sigstore/verify. Reads JSON from standard input, prints a verdict for each.
const crypto = require("node:crypto");
const path = require("node:path");
const fs = require("node:fs");

const tlog = (file) => require(path.join(process.argv[2], "@sigstore/verify/dist/tlog", file));
const { verifyMerkleInclusion } = tlog("merkle.js");
const { verifyCheckpoint } = tlog("checkpoint.js");
const bytes = (text) => Buffer.from(text, "base64");

function note(said) {
  const [name, id] = said.vkey.split("+", 2);
  const raw = bytes(said.vkey.slice(name.length + id.length + 2)).subarray(1);
  const publicKey = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });
  const log = { logID: Buffer.from(id, "hex"), baseURL: `https://${name}`, publicKey };
  verifyCheckpoint({ inclusionProof: { checkpoint: { envelope: bytes(said.note).toString() } } }, [log]);
}

function record(said) {
  const inclusionProof = { logIndex: said.index, treeSize: said.size, hashes: said.proof.map(bytes) };
  verifyMerkleInclusion({ canonicalizedBody: bytes(said.leaf), inclusionProof }, { logSize: said.size, logHash: bytes(said.root) });
}

function verdict(said) {
  try {
    ({ note, record })[said.kind](said);
    return true;
  } catch (error) {
    if (error.code !== "TLOG_INCLUSION_PROOF_ERROR") throw error;
    return false;
  }
}

console.log(JSON.stringify(JSON.parse(fs.readFileSync(0)).map(verdict)));
