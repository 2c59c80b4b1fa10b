"""How all tables look."""

from rich.box import Box

# a rule of dashes below the header and nothing else: the same in ASCII and Unicode
RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
