"""Scoreboards and disclosures from finished runs."""
