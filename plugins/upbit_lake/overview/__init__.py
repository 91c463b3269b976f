"""One look at all: what every view of the pipeline's health shows."""
