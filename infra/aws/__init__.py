"""Crewline on AWS: what it is deployed with, and what runs there around its functions."""
