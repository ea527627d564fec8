"""The conformance kit: what a node's built wheel must hold to be published, as checks that anybody can run."""
