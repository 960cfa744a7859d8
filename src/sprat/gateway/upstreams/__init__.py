"""What is the upstreams' own: bytes that pass, and circuit breakers."""
