"""What a stranger needs to check us: names, digests, canonical bytes, proofs, receipts. No I/O."""
