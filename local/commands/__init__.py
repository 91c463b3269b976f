"""One module a command of `./pipeline`, and what they print."""
