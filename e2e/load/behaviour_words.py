"""Words that behaviours send and scenarios script faults for."""

POISON = "poison-for-backends"
"""Bodies with this word make a backend fail where a scenario says so."""
