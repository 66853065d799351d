"""A program of the storage servers: copies of the backups in a second place.

It is put on them as it is: it imports nothing but itself and what Debian's python3 has.

What is removed or replaced is set aside in the second place, in a directory of its time. A file of
a new name there, which only whoever wrote the one before may write, tells that the repositories are
still the ones that it has copies of.
"""
