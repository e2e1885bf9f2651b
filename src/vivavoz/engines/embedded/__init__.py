"""The embedded engines: small models on this machine's CPU, no network, no key (``docs/engines.md``)."""
