// Check a Sigstore bundle offline, with verifiers that are not ours:
//   node verify.mjs BUNDLE TRUSTED_ROOT RECORD_KEY.pem
// Exits with 0 if it verifies, 1 if not, 2 if it could not be read.
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { Verifier, toSignedEntity, toTrustMaterial } from '@sigstore/verify';

const [bundleFile, rootFile, keyFile] = process.argv.slice(2);
let verifier;
let entity;
try {
  const publicKey = createPublicKey(readFileSync(keyFile));
  const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(rootFile)));
  const material = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
  verifier = new Verifier(material, { ctlogThreshold: 0, tlogThreshold: 1, timestampThreshold: 0 });
  entity = toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(bundleFile))));
} catch (error) {
  console.error(`cannot be read: ${error.message}`);
  process.exit(2);
}
try {
  verifier.verify(entity);
} catch (error) {
  console.error(`not verified: ${error.code}: ${error.message}`);
  process.exit(1);
}
console.log('verified');
