"""What a process of any function has: one event loop, a clock of its host, a log by request."""
