"""Real or drawn traffic, sent through the HTTP API and reconciled with the ledger to the last token."""
