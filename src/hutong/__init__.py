"""Hutong: one public AI computing service over many computing centres."""
