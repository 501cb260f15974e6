"""Runs a command that must not outlive the process that started it, SIGKILL included.

    python kill_with_parent.py FD COMMAND ARGUMENT...

FD is the read end of a pipe whose write end only the parent holds. A guard waits for the end of
that pipe, which the kernel brings about however the parent dies, and kills the command's process
group. Unlike PR_SET_PDEATHSIG this also works on macOS, reaches grandchildren, and does not fire
when merely the thread that started the command ends. The command replaces this process, so its
process id and exit code are the command's own.
"""

import os
import signal
import sys


def main(parent_pipe: int, command: list[str]) -> None:
    if os.fork() == 0:
        if os.fork() == 0:  # twice, so that the command does not find itself with a child
            _guard(parent_pipe)
        os._exit(0)
    os.wait()
    os.close(parent_pipe)
    os.execvp(command[0], command)  # noqa: S606 -- running the command is the point


def _guard(parent_pipe: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the group is told to stop before it is killed
    os.read(parent_pipe, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
