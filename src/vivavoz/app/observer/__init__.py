"""Observing and steering calls from the server side: one supervised task per call, on the call's sideband.

``ports`` holds what others build on: the shapes of a call's state, and what records and remembers calls.
``state`` folds a call's events into that state. See ``docs/observer.md``.
"""
