"""``make chaos``: run a large job on real workers while processes and servers are killed at random.

A round is one job. Its rows, its error dictionary and every change of a row must equal those of a baseline, the same
job without faults. Nothing may be lost, done twice, or left hanging. The installed package does not contain this.
"""
