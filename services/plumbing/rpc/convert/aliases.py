"""Aliases as they travel. The rule: addresses are canonical on the way out, and in any spelling on the way in."""

from restante.v1 import aliases_pb2 as pb

from services.mail.store.aliases import Alias


def alias_to_wire(alias: Alias) -> pb.Alias:
    """One alias."""
    return pb.Alias(address=alias.address, targets=alias.targets)


def alias_from_wire(alias: pb.Alias) -> Alias:
    """One alias."""
    return Alias(alias.address, tuple(alias.targets))
