"""`python -m infra.bundles [FUNCTION ...]`: makes bundles and prints their sizes.

With `--oidc` they check the tokens of an issuer, and with `--provider` the worker calls that provider's models: both
need more packages. With `--twin` they are for x86-64, as the tests run them; hosts get those for arm64.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from infra.bundles import packages
from infra.bundles.build import NoPythonError, build
from infra.bundles.contents import BUNDLES, PROVIDERS, ROOT, Bundle

MB = 1024**2


def main() -> None:
    """Make what the command line names, or all."""
    parser = argparse.ArgumentParser(prog="make bundles", description=__doc__)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=", ".join(BUNDLES))
    parser.add_argument("--twin", action="store_true", help="for x86-64")
    parser.add_argument("--oidc", action="store_true", help="with what CREWLINE_OIDC_ISSUER needs")
    parser.add_argument(
        "--provider", action="append", default=[], choices=PROVIDERS,
        help="of models that the worker calls; may be given again",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / ".data" / "bundles")
    asked = parser.parse_args()
    if unknown := set(asked.functions) - BUNDLES.keys():
        parser.error(f"there is no function {', '.join(sorted(unknown))}")
    print(f"{'function':<12} {'MB':>7} {'zip':>6} {'packages':>9} {'s':>6}")
    for name in asked.functions or BUNDLES:
        bundle = with_more(BUNDLES[name], oidc=asked.oidc, providers=asked.provider)
        _make(bundle, packages.TWIN if asked.twin else packages.LAMBDA, asked.out)


def with_more(bundle: Bundle, *, oidc: bool = False, providers: Iterable[str] = ()) -> Bundle:
    """Return a bundle with what was asked for besides; the worker alone calls models."""
    of_models = providers if bundle.function == "crew_worker" else ()
    return replace(bundle, more=(*(("oidc",) if oidc else ()), *of_models))


def _make(bundle: Bundle, machine: packages.Machine, out: Path) -> None:
    began = time.monotonic()
    try:
        built = build(bundle, machine, out)
    except NoPythonError as error:
        sys.exit(f"crewline: {error}")
    except subprocess.CalledProcessError:
        sys.exit(f"crewline: the packages of {bundle.function} could not be installed")
    zipped = f"{built.zipped.stat().st_size / MB:.1f}" if built.zipped else "image"
    count, seconds = len(packages.installed(built.folder)), time.monotonic() - began
    print(
        f"{bundle.function:<12} {built.size_bytes / MB:>7.1f} {zipped:>6} {count:>9} {seconds:>6.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
