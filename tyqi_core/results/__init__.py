"""What a person looks at: outputs written to files, pages and drawings of plans and runs."""
