"""``make chaos``: a large job over real workers while a seeded monkey breaks everything that can break.

A round is one job. Its rows, its error dictionary and every change of a row must be those of the same job left in
peace; nothing may be lost, done twice, or left hanging. Nothing in production imports this.
"""
