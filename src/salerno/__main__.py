"""``python -m salerno`` is the ``salerno`` command."""

from salerno.cli import main

if __name__ == "__main__":
    main()
