"""Hyper-parameter sweeps for sketch-based image retrieval and its neighbours."""

import gc

# Importing torch, Ray and pandas makes a million objects that stay; at Python's default rate of collections, walking
# them again and again takes a third of the time.
gc.set_threshold(50_000, *gc.get_threshold()[1:])
