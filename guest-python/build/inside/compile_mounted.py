"""The application of a throwaway component: importing it compiles the mounted directory.

The component itself is not kept; what remains are the `.pyc` files.
"""

import bytecode

with open("/0/mounted_at.txt") as file:
    bytecode.compile_tree("/1", file.read())
