"""The pure core of a translation session: what somebody says, said in another language while they go on.

==================  ============================================================================
``session.py``      ``step``, ``deadline``, ``dump``/``load``; the client's events, the end
``listening.py``    the caller's sound, cut into phrases, each given to a translator's job
``telling.py``      what the jobs found, told in the order in which it was said
``possible.py``     what this server can do of what is asked for
``state.py``        what is remembered    ``inputs.py``  the inputs of its own
==================  ============================================================================

It shares the effects, ids and the other inputs with :mod:`vivavoz.session`.
"""
