"""Checks with names, each of which says on a line of JSON how it went."""

import json
import sys
import traceback

CHECKS = []


def check(function):
    """Adds a check that is named like its function."""
    CHECKS.append(function)
    return function


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def run(*arguments):
    """Runs all checks, or those whose names are given after the two arguments of the program."""
    wanted = sys.argv[3:]
    for function in CHECKS:
        if wanted and function.__name__ not in wanted:
            continue
        said = {"check": function.__name__, "error": None}
        try:
            function(*arguments)
        except Exception:
            said["error"] = traceback.format_exc(limit=-3)
        print(json.dumps(said), flush=True)
