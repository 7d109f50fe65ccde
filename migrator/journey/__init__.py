"""One sender for a journey: its lock, the place where a ledger works, and a fence for machines."""
