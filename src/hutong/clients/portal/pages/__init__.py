"""One module per page, or per family of pages."""
