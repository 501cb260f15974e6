"""CrewAI AMP's words for a flow: its requests, its answers, and the bodies of its webhooks."""
