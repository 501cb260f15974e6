"""What a page pays for the client, and what its types say it has."""

import gzip
import re

from tests.browser.network import PUBLIC

LIMIT_BYTES = 4096
SOURCE = (PUBLIC / "crewline.js").read_text()
TYPES = (PUBLIC / "crewline.d.ts").read_text()


def test_the_client_is_one_module_of_at_most_four_kilobytes():
    size = len(gzip.compress(SOURCE.encode(), 9, mtime=0))
    print(f"crewline.js: {len(SOURCE)} bytes, {size} gzipped")
    assert size <= LIMIT_BYTES
    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", SOURCE, re.MULTILINE)


def test_the_types_name_what_the_module_exports():
    exported = re.compile(r"^export (?:async )?function (\w+)", re.MULTILINE)
    assert exported.findall(SOURCE) == sorted(exported.findall(TYPES), reverse=True)
