"""Playing without an account: the sandbox, and the demo on it."""

import argparse
import sys

from migrator.errors import ExitCode, UsageError
from migrator.progress import Display, tell


def sandbox(args: argparse.Namespace, display: Display) -> int:
    """Run the stand-in of both services until it is told to stop."""
    from migrator import sandbox as stand_in

    if "list" in dict(args.fault):
        tell("\n".join(sorted(stand_in.FAULTS)))
        return ExitCode.DONE
    if "list" in args.quirk:
        tell("\n".join(f"{name:16} {quirk.meaning}" for name, quirk in stand_in.QUIRKS.items()))
        return ExitCode.DONE
    try:
        return stand_in.run(
            {
                "port": args.port,
                "contacts": args.contacts,
                "seed": args.seed,
                "faults": dict(args.fault),
                "quirks": args.quirk,
                # What HubSpot grants a Professional account in ten seconds.
                "hubspot_rate_limit": 190,
                "rate_limit": args.rate_limit,
                "latency_seconds": args.latency,
                "read_lag_seconds": args.read_lag,
                "token_seconds": args.token_seconds,
            },
            sys.stdout,
        )
    except ValueError as error:
        raise UsageError(f"The sandbox cannot start: {error}.", "migrator sandbox --help") from None
    except OSError as error:
        raise UsageError(
            f"The sandbox cannot listen on port {args.port}: {error.strerror}.",
            "leave --port out, and it takes a free one",
        ) from None


def demo(args: argparse.Namespace, display: Display) -> int:
    """Play a whole migration; a verdict that is not good is a bug."""
    from migrator.demo import demo as play

    return ExitCode.DONE if play(args.contacts, args.seed, sys.stdout) else ExitCode.BUG
