pytest_plugins = [
    "tests.fixtures_js",
    "tests.fixtures_servers",
    "tests.fixtures_ports",
    "tests.fixtures_api",
    "tests.fixtures_aws",
    "tests.fixtures_gateway",
]
