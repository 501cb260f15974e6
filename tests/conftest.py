from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures_js",
    "tests.fixtures_servers",
    "tests.fixtures_ports",
    "tests.fixtures_api",
    "tests.fixtures_aws",
    "tests.fixtures_gateway",
]

# A busy machine takes longer than the 200 ms that Hypothesis gives an example, and to make them.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
