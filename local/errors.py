"""The one error a user of the runner meets."""


class PipelineError(Exception):
    """Its text is one line: what is wrong, where, and what to do."""
