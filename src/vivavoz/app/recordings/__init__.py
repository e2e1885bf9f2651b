"""Recordings of calls: written while a call lives, packed into one file after it, kept as configured.

The map: ``recorder`` takes what the observer hears; ``take`` is one call's working folder; ``packing`` makes
the one file of it (``sound``, ``container``); ``storage`` keeps files, ``catalogue`` rows; ``archive`` joins
them, and owns recovery, retention and deletion; ``routes`` is their HTTP.
"""
