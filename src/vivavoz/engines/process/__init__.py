"""Engines in processes of their own: a supervisor owns them, every worker reaches them through a socket.

``docs/decisions/0002-engine-processes.md`` says why. ``protocol`` is what travels, ``child`` the program that
runs one engine, ``supervisor`` starts, watches and restarts them, ``client`` is a worker's end, and
``adapters`` make a client look like the engine ports.
"""
