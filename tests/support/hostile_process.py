"""
The command in a process whose world is worse than ours: a few lines run there before it begins.

Nothing of the product is replaced; what these lines change belongs to the operating system or to
Python itself.
"""

import sys

# What `exec` keeps: limits, signals, descriptors, capabilities.
_BECOME = "os.execv(sys.executable, [sys.executable, '-m', 'migrator', *sys.argv[1:]])"


def afflicted(setup: str) -> tuple[str, ...]:
    """The command, in a process to which the operating system does this."""
    return (sys.executable, "-S", "-c", f"import os, resource, signal, sys\n{setup}\n{_BECOME}")


def deceived(setup: str) -> tuple[str, ...]:
    """The command, in a process where this happens when all of the package is imported already."""
    imports = "import os, signal, sys, time"
    return (
        sys.executable,
        "-c",
        f"{imports}\n{setup}\nfrom migrator.cli import main\nsys.exit(main())",
    )
