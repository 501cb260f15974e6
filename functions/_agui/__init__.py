"""AG-UI's words for a flow: what a client sends, what a run's stream holds, and its interrupts."""
