"""What a student learns of its teacher's inside. One file per way.

To add a way: write `distilling/<name>.py` with a class `Way` (see `way.py`) and put its name in WAYS; then name it among
the options of `tasks/distil.py`.
"""

WAYS = ("hidden", "attention", "relations")  # also the file names
