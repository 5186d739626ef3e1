"""Every method that finds photos for sketches: the same data, workers and budget for each, one comparison at the end.

    python sweeps/all_methods.py                          # embedded synthetic data
    python sweeps/all_methods.py --data store --splits 5  # your features, and five further class splits
    python sweeps/all_methods.py --methods cvae,siamese_1
    python sweeps/all_methods.py --also my_sweep.py       # a method from outside: a script with a Sweep in it
    python sweeps/all_methods.py --stage published        # every row that the sources report

Every other script of this folder is one family of methods. Those that retrieve something else (sketches by sketches,
photos by photos, photos by texts) are named and left out, and so are those that the data cannot serve.
"""

from sbir.tuning.collect import sweeps_beside
from sbir.tuning.main import main

if __name__ == "__main__":
    main(*sweeps_beside(__file__), doc=__doc__, trials=4)  # of full length, each
