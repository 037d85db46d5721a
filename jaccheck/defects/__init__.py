"""The register of known defects of the libraries."""
