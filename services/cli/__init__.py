"""The command line `restante`: starts everything on one machine, and administers a system that runs."""
