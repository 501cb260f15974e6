"""Streams of server-sent events: their frames (`sse`), and flows watched over one (`sse_stream`)."""
