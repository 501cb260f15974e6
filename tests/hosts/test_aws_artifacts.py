"""The zips that the packager carries: each is the bundle, whose handler the template names, and runs."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.bundles import packages
from infra.bundles.build import NoPythonError, build, target_python
from infra.bundles.contents import BUNDLES
from tests.fixtures_aws import FOLDER, Template, package
from tests.fixtures_servers import unavailable
