// Put questions to npm @sigstore/verify: its checkpoint and inclusion checks, by file path since they are not exported.
//     node ask_sigstore.js FOLDER < questions     a JSON object a line; a JSON string a line back: "" accepted, else the reason
'use strict';
const crypto = require('crypto');
const path = require('path');
const readline = require('readline');

const folder = process.argv[2];
const { verifyCheckpoint } = require(path.join(folder, 'checkpoint.js'));
const { verifyMerkleInclusion } = require(path.join(folder, 'merkle.js'));
const { VerificationError } = require(path.join(folder, '..', 'error.js'));
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

function judge(told) {
  const [name, keyId, encoded] = [...told.vkey.split('+', 2), told.vkey.split('+').slice(2).join('+')];
  const key = Buffer.concat([SPKI_ED25519, Buffer.from(encoded, 'base64').subarray(1)]);
  const log = {
    logID: Buffer.from(keyId.padEnd(64, '0'), 'hex'),
    baseURL: name,
    publicKey: crypto.createPublicKey({ key, format: 'der', type: 'spki' }),
  };
  const hashes = told.path.map((node) => Buffer.from(node, 'hex'));
  const inclusionProof = { logIndex: String(told.index), hashes, checkpoint: { envelope: told.note } };
  const entry = { inclusionProof, canonicalizedBody: Buffer.from(told.entry, 'hex') };
  verifyMerkleInclusion(entry, verifyCheckpoint(entry, [log]));
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let verdict = '';
  try {
    judge(JSON.parse(line));
  } catch (refusal) {
    if (!(refusal instanceof VerificationError)) throw refusal; // the question or the interface is wrong: that is no verdict
    verdict = String(refusal.message) || 'refused';
  }
  console.log(JSON.stringify(verdict));
});
