"""The REST quotation API."""
