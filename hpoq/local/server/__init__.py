"""The embedded cloud's server process: one TLS port in front of every service."""
