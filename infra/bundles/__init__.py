"""What hosts of functions are given: a folder and a zip for each function, with only what it needs."""
