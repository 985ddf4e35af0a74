"""A share of the profile's examples, for what is slow."""

from hypothesis import HealthCheck, settings


def share(part: int) -> settings:
    """One example of `part`; no deadline, since the machine may be busy."""
    examples = max(settings().max_examples // part, 1)
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
