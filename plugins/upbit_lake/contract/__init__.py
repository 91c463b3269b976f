"""The contract says what should be: pipeline.toml, sql/ and the environment, read strictly, frozen."""
