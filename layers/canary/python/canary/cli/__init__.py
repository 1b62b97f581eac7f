"""The command line: what people and CI jobs type. It talks to AWS with the caller's own credentials."""
