"""What every process counts, as Prometheus reads it.

Rule: a label holds a name from our own code (a port, a command of the table), never what a peer sent.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

connections = Counter("restante_connections", "Connections accepted.", ["port"], registry=REGISTRY)
connections_open = Gauge("restante_connections_open", "Connections open now.", ["port"], registry=REGISTRY)
connections_refused = Counter(
    "restante_connections_refused", "Connections over the limits.", ["port"], registry=REGISTRY
)
commands = Counter("restante_commands", "Commands answered.", ["protocol", "command"], registry=REGISTRY)
command_seconds = Histogram(
    "restante_command_seconds",
    "From a command to its last reply.",
    ["protocol"],
    buckets=SECONDS,
    registry=REGISTRY,
)
logins = Counter("restante_logins", "Logins tried.", ["protocol", "outcome"], registry=REGISTRY)
letters = Counter(
    "restante_letters", "Letters by what became of them.", ["protocol", "outcome"], registry=REGISTRY
)
letter_octets = Counter(
    "restante_letter_octets", "Octets of the letters taken or given.", ["protocol"], registry=REGISTRY
)
rpc_messages = Counter(
    "restante_rpc_messages", "Messages of rpc by method, in and out.", ["method", "way"], registry=REGISTRY
)
bugs = Counter("restante_bugs", "Failures that are ours; each has a traceback in the log.", registry=REGISTRY)


def render() -> bytes:
    """Every metric of this process, in Prometheus' text form."""
    return generate_latest(REGISTRY)


__all__ = ["CONTENT_TYPE", "REGISTRY", "render"]
