"""Test mode, for those who build on the Realtime API: faults by script, event logs, replay, a pytest plugin.

Nothing is imported here: pytest loads the plugin in every run of whoever has vivavoz installed.
"""
