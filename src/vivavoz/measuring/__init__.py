"""A Realtime endpoint measured from its caller's end: what travels, and when it could be heard."""
