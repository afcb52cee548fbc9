"""What leaves the house: run identity, gate, manifest, fingerprint, staging, promotion and rollback."""
