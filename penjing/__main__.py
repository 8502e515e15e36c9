"""`python -m penjing` is `penjing`."""

import sys

from penjing.cli.main import main

sys.exit(main())
