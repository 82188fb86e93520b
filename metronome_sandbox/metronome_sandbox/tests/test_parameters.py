"""What calls are checked by is what the SDK publishes, and needs no SDK."""

import subprocess
import sys

import pytest

from metronome_sandbox import params
from metronome_sandbox.tests import write_parameters


def test_the_file_is_what_the_installed_sdk_publishes():
    """If another version says otherwise: `python -m metronome_sandbox.tests.write_parameters`."""
    assert write_parameters.FILE.read_text() == write_parameters.text()
    assert len(params.PUBLISHED) > 100


def test_a_name_that_nobody_publishes_is_an_error():
    with pytest.raises(AttributeError, match=r"publishes no v1\.CustomerMergeParams"):
        _ = params.v1.CustomerMergeParams


def test_it_runs_where_no_sdk_is():
    program = (
        "import io, sys\n"
        "sys.modules.update(metronome=None, pydantic=None, typing_extensions=None, httpx=None)\n"
        "from metronome_sandbox import Sandbox\n"
        'body = b\'{"name": "Alice"}\'\n'
        "environ = {'REQUEST_METHOD': 'POST', 'PATH_INFO': '/v1/customers',\n"
        "  'CONTENT_LENGTH': str(len(body)), 'wsgi.input': io.BytesIO(body),\n"
        "  'HTTP_AUTHORIZATION': 'Bearer sandbox'}\n"
        "print(Sandbox()(environ, lambda status, headers: print(status))[0].decode())\n"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    status, answer = run.stdout.splitlines()
    assert status == "200 OK"
    assert '"name":"Alice"' in answer
