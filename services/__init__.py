"""Restante: what mail knows (`mail`), what every process shares (`plumbing`), and the processes."""
