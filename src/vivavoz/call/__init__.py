"""The live thing: one session, its transports and its engines. The only ring that knows all three, and the
one that holds no rule of the protocol."""
