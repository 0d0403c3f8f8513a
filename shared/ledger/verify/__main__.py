"""`python -m shared.ledger.verify FILE…`: verify exports offline."""

import sys

from shared.ledger.verify.command.main import main

if __name__ == "__main__":
    sys.exit(main())
