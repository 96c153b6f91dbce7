"""The process at a centre: calls in, drives one engine."""
