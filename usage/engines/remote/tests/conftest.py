import pytest

from usage.engines.remote import Remote
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.tests.contract_server import ContractServer


@pytest.fixture
def serve():
    """Starts servers that keep the contract."""
    started = []

    def serve(**options) -> ContractServer:
        started.append(ContractServer(**options))
        return started[-1]

    yield serve
    for each in started:
        if not each.ended.is_set():
            each.die()


@pytest.fixture
def engine():
    """An engine that speaks through these servers: `engine(server, …)`."""
    made = []

    def engine(*servers, options="&voices=af_heart", pauses=(0.2, 0.8), keys=()) -> Remote:
        written = ", ".join(
            f"http://{f'{key}@' if key else ''}{server.address[7:]}?model=kokoro{options}"
            for server, key in zip(servers, [*keys, *[""] * len(servers)], strict=False)
        )
        made.append(Remote(helpers=2, servers=read_servers(written), pauses=pauses))
        return made[-1]

    yield engine
    for each in made:
        each.close()
