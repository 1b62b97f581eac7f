"""`canary demo`: releases go through the router on an embedded AWS, in five acts, before one's eyes."""
