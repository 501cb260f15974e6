"""The crew `import_mapping`: which column of a real CSV feeds which field of a target schema."""
