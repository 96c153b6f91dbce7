"""Exact money: prices, metering, holds, entries, bills."""
