"""The program: `migrator`, and `python -m migrator`."""

import signal
import sys


def main() -> int:
    """Run the command line of this process; returns the exit code (design, section 8)."""
    # Until the command line is loaded, nothing has begun: Ctrl-C ends Python without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from migrator import cli
    except ImportError as error:
        # Not Python's own 1, which would say that the command is done.
        print(
            f"error: This installation of migrator is not complete: {error}.\n"
            "next: install it again, with: pip install --force-reinstall hubspot-to-leadgenius",
            file=sys.stderr,
        )
        return 70

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
