"""Whose fault it is: the one error that says "your input", and the exit codes.

Owns the line between an input at fault (exit 1), a command line at fault (2) and ourselves, or a server that a role
needs (3). Must not know commands.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with."""

    GOOD = 0
    INPUT = 1
    USAGE = 2
    OURS = 3
    #: Stopped with Ctrl-C, as a shell reports it.
    STOPPED = 130


class InputFaultError(Exception):
    """What was given cannot be worked with. One line: where, what is wrong, what came, how to mend it."""


class UsageFaultError(Exception):
    """The command line cannot be carried out as it was typed. One line, with the mend."""


class NotNowFaultError(Exception):
    """What is needed is not there just now: started again, the same may work. One line, with the setting to look at."""
