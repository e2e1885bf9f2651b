"""Recordings of calls: written while a call lives, packed into one file after it, kept as long as configured.

The map: ``recorder`` takes what the observer hears, ``take`` is one call's working folder, ``packing`` makes the
one file of it (``sound``, ``peaks``, ``container``), ``storage`` keeps files, ``catalogue`` keeps rows, ``archive``
joins them and owns recovery, retention and deletion, ``routes`` is their HTTP.
"""
