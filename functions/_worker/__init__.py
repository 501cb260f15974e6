"""What functions that run flows or send webhooks share: wake-ups, and loops on hosts that let them stay."""
