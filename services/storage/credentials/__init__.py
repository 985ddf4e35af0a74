"""Who may log in: secrets by kind, and the delays that guesses meet."""
