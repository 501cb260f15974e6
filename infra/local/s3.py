"""The local S3: `localbucket`, which keeps buckets as folders on disk and checks no credentials."""

import sys
from pathlib import Path


def server_command(folder: Path, port: int, bucket: str) -> list[str]:
    """Command line of an S3 endpoint on 127.0.0.1:`port` over `folder`, in which `bucket` is made.

    Addressing is by path: `http://127.0.0.1:PORT/BUCKET/KEY`.
    """
    (folder / bucket).mkdir(parents=True, exist_ok=True)
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "localbucket", *listen, str(folder)]
