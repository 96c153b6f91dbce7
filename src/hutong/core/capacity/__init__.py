"""What centres offer: accelerators, figures with provenance, sites and pools."""
