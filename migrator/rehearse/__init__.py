"""
The parts of a rehearsal, which `cli.rehearse` puts together with push, verify and audit.

    rehearse.folder           a folder that vanishes, also after a kill
    rehearse.sandbox_process  a sandbox in a process of its own
    rehearse.killed_push      a push in a process of its own, killed in its middle
    rehearse.staged           what the ledger says before
    rehearse.result           what it came to

Each command asks `folder` at its start, so nothing is imported here.
"""
