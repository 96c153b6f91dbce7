"""Vouchers under rules that are data: who may have one, what it pays, and which clause says so."""
