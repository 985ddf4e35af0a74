"""What every process shares: settings, logs, metrics, health, listeners, shutdown and all of the gRPC."""
