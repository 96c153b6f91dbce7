"""Vouchers as the book keeps them: every step in one guarded transaction."""
