"""Every method on features in one sweep: the same data, workers and budget for each, one comparison at the end.

    python sweeps/all_methods.py                          # embedded synthetic data
    python sweeps/all_methods.py --data store --splits 5  # your features, and five further class splits
    python sweeps/all_methods.py --methods cvae,siamese_1
    python sweeps/all_methods.py --also my_sweep.py       # a method from outside: a script with a Sweep in it
    python sweeps/all_methods.py --stage published        # every row that the sources report

Every other script of this folder is one family of these methods.
"""

from sbir.tuning.collect import sweeps_beside
from sbir.tuning.main import main

if __name__ == "__main__":
    main(*sweeps_beside(__file__), doc=__doc__, trials=4)  # eleven methods: a laptop's quarter of an hour
