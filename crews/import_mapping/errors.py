"""The one error that a file causes."""


class BadCsv(ValueError):  # noqa: N818 -- it names the file, not the failure
    """The file cannot be read as a CSV; the message is one sentence that says what to do."""

    is_fatal = True  # no agent can map columns that it has not seen
