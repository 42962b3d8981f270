"""Starts servers fast: it has imported what they need, and forks one for each line that it is given.

A line is JSON: ``arguments`` of `quotastack`, ``environment``, ``log``; the answer is a process id. Importing is most
of what a start costs, and a rig starts hundreds. It does nothing but import before it forks.
"""

import json
import os
import signal
import sys

import quotastack.cli.serve
from quotastack.cli.main import run


def bear(told: dict[str, object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(str(told["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(told["environment"])  # type: ignore[call-overload]
    sys.argv = ["quotastack", *told["arguments"]]  # type: ignore[misc]
    try:
        run()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.write("" if isinstance(end.code, int) else f"{end.code}\n")
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    os._exit(0)


def main() -> None:
    assert quotastack.cli.serve
    # The system forgets the dead for us.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = bear(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
