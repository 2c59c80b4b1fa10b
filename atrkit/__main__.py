"""`python -m atrkit`."""

from atrkit.cli.app import main

if __name__ == "__main__":
    main()
