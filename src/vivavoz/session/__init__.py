"""The pure core: one conversation as a function of what happened to it.

:class:`~vivavoz.session.session.Session` takes an input (what happened) and returns effects (what to do).
There is no clock, network, thread, task, random or log in here. Where to look:

=====================  ==========================================================================
``session.py``         ``step``, ``deadline``, ``dump``/``load``; which rule handles which input
``requests/``          the client events, one function each
``checks.py``          what this server can do of what is asked
``listening.py``       the caller's sound comes in, is scored, judged and understood
``results.py``         what models, voices and tools give back, and how their jobs end
``rules.py``           the coupling rules: what one machine's change means for the others
``utterance.py``       the turn being spoken: who listens to it, what is still wanted of its sound
``turn.py``            when the caller starts and stops (server and semantic VAD)
``input_audio.py``     the input audio buffer
``entry.py``           one item with what the wire does not show
``conversation.py``    the items and what may be done to them
``plan.py``            what a response is to be
``asking.py``          what a model is asked for it
``foresight.py``       what it will be asked if the caller says no more
``response.py``        one response, as a stack of open brackets
``outgoing.py``        how what it puts out becomes events
``outputs.py``         what a response puts out: messages, function calls, calls of MCP tools
``tools.py``           what MCP servers offer, and what of it a response may use
``pieces.py``          the conversation as a model would get it, and what each piece costs
``context.py``         what of it a model is given: truncation
``failures.py``        why responses fail, and whose fault that is
``usage.py``           what a response has cost
``images.py``          pictures in items
``mcp.py``             listing their tools, approvals, and what calls return
``playout.py``         what was played of what was said (transports whose playout is the server's)
``transcripts.py``     what the caller said: for the model always, for the client where asked
``state.py``           everything that is remembered, and what the operator has decided
``jobs.py``            the work that engines do    ``output.py``   where effects are collected
``inputs.py``          the inputs                  ``effects.py``  the effects    ``ids.py``  names
=====================  ==========================================================================
"""
