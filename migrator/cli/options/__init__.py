"""
What can be typed after each command, a small module for each group of them.

It imports nothing that works: a call for help must not wait for a library that it does not use.
"""
