"""One sender for a journey: its locks, where a ledger works, and a fence for several machines."""
