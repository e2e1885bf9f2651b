"""The beta of the Realtime API, translated from and to the GA protocol that everything else here speaks.

A pure rename both ways, on plain dictionaries: :mod:`tables` says what is called what, :mod:`values` what
changes inside a member, :mod:`incoming`, :mod:`outgoing` and :mod:`rest` walk the tables.
"""
