"""`python -m metering_site.embedded run`, or `... exec --data DIR -- COMMAND`: what `make` calls."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import environ

from metering_site.embedded import folders, stack
from metering_site.embedded.processes import CannotStart
from metering_site.embedded.servers import Servers, claimed


def execute(data_dir: Path, command: list[str]) -> int:
    """Run a command between the start and the stop of the servers of `data_dir`; its exit code."""
    with claimed(data_dir):
        servers = Servers(data_dir=data_dir, environ=os.environ)
        servers.start()
        try:
            child = subprocess.Popen(command, env=servers.variables())
            # Ctrl-C reaches the child by itself, a termination is passed on; both wait here for its end.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
            code = child.wait()
        finally:
            servers.stop()
    return code if code >= 0 else 128 - code


def main() -> int:
    """Parse the command line and do it; a failure is told in words, with exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m metering_site.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start the whole system and supervise it")
    run.add_argument("--data", type=Path, default=folders.DEFAULT_DATA, help="the data folder (default: .data)")
    run_in = commands.add_parser("exec", help="start the servers, run one command, stop them")
    run_in.add_argument("--data", type=Path, required=True, help="the data folder, made where it does not exist")
    run_in.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    chosen = parser.parse_args()
    environ.Env.read_env(folders.PROJECT / ".env")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that `finally` stops the servers
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job starts with it ignored
    try:
        if chosen.command == "run":
            return stack.run(chosen.data.resolve())
        words = chosen.words[1:] if chosen.words[:1] == ["--"] else chosen.words
        if not words:
            parser.error("exec needs a command after --")
        return execute(chosen.data.resolve(), words)
    except CannotStart as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
