"""README.md lists every route with the file that serves it."""

import re
from pathlib import Path

from tests.e2e.test_access import WAYS

README = Path(__file__).parents[2] / "README.md"
OLDER = ("crew_amp", "GET", "/amp/{}/{}/status")  # as older documents of AMP have it
ROUTE = re.compile(r"`(GET|POST|PUT|DELETE) ([\w/{}]+)[^`]*`")
Route = tuple[str, str, str]  # file, method, path without the names of its parameters


def documented() -> set[Route]:
    table = README.read_text("utf-8").partition("| route | scope | file |")[2].partition("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    found = set[Route]()
    for routes, _, file, *_ in rows:
        base = re.match(r"\| `(/[\w/{}]+)`: ", routes)
        for method, path in ROUTE.findall(routes):
            found.add((file.strip("`"), method, nameless(f"{base[1]}/{path}" if base else path)))
    return found


def nameless(path: str) -> str:
    return re.sub(r"{\w+(:path)?}", "{}", path)


def test_the_readme_lists_every_route_with_the_file_that_serves_it():
    served = {
        (way.function.__name__.removeprefix("functions."), way.method, nameless(way.path))
        for way in WAYS
        if way.method != "HEAD"
    }
    assert documented() == served - {OLDER}
