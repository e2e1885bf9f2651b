"""Recognition and voice beyond English: Whisper and Kokoro, Portuguese first (``docs/portuguese.md``).

They are hosted and planned like the embedded engines, which they stand in for by name.
"""
