"""One request, one stack: the application behind the router's handler."""
