"""`python -m muniment.scan`: the process a file is scanned in. Not for people; see `muniment scan`."""

import sys

from muniment.scan.worker import main

main(sys.argv[1:])
