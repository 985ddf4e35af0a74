"""By what the failures of a network are counted."""

import ipaddress


def network_key(network: str) -> str:
    """Loopback is not counted: everything that runs beside us comes from there. IPv6 counts by /64."""
    try:
        address = ipaddress.ip_address(network.split("%", maxsplit=1)[0])
    except ValueError:
        return f"network {network[:100]}" if network else ""
    if address.is_loopback:
        return ""
    if address.version == 6:
        return f"network {ipaddress.ip_network((address, 64), strict=False)}"
    return f"network {address}"
