"""`python -m chargehand`."""

from .cli.main import main

if __name__ == "__main__":
    main(prog_name="chargehand")
