"""What POST /v1/feedback and its siblings take and answer."""
