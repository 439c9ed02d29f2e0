"""Started by the host as a file, by an isolated interpreter that finds only its own library."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from par_guest.native.runner import main

if __name__ == "__main__":
    main()
