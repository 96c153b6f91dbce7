"""Papers for people: statements and invoices as PDF and as spreadsheets."""
