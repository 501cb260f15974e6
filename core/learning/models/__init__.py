"""Learners as they are stored: sealed objects in the object store, and the pointer that names them."""
