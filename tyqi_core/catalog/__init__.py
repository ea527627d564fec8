"""The Nodes installed here: manifests found without importing plugin code, indexed, and activated on demand."""
