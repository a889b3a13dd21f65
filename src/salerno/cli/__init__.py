"""The ``salerno`` command: arguments in, a client or a node at work, exit codes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with the exit code of what happened.

    Args:
        arguments: Words after the command's name; those of the process by default.

    Exit codes: 0 done, 1 unexpected, 2 wrong input, 3 refused, 4 not found, 5 conflict, 6 unavailable,
    130 interrupted.
    """
    from salerno.cli.app import app
    from salerno.kernel.errors import SalernoError

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="salerno")
    except SalernoError as error:
        from salerno.cli.output import show_error

        if os.environ.get("SALERNO_DEBUG"):
            import traceback

            traceback.print_exc()
        show_error(error, as_json="--json" in words)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: not an error, and nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from salerno.cli.output import show_unexpected

        if os.environ.get("SALERNO_DEBUG"):
            raise
        show_unexpected(error)
        sys.exit(1)
