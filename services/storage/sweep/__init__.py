"""The sweeper: what nobody may need any more goes, in small transactions, by one copy at a time."""
