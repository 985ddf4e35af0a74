"""How long the fuzzing lasts: a few seconds in `make test`, as long as one likes in `make fuzz`.

The rule: a test here takes its number of examples from the profile, or a share of it where an example is slow.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("EXAMPLES", "20000")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
