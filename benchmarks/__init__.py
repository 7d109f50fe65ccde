"""
What is measured and proven by long runs, each a command to type by hand; `docs/` keeps the results.

Nothing of the product imports from here. Tests do, where a short run of the same proof will do.
"""
