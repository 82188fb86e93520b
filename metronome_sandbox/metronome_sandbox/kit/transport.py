"""For clients of httpx in the same process, sync and async."""

import httpx

from metronome_sandbox.kit.http import LOST, Application, in_process, is_lost


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A call that a fault swallows raises httpx.ReadTimeout, as it would over a network."""

    def __init__(self, sandbox: Application) -> None:
        self._inner = httpx.WSGITransport(app=in_process(sandbox))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        answer = self._inner.handle_request(request)
        patience = request.extensions.get("timeout", {}).get("read")
        if is_lost(answer.headers.get(LOST, ""), patience):
            raise httpx.ReadTimeout("The sandbox was told to give no answer", request=request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Nothing in it waits, so it needs no thread."""
        await request.aread()
        return self.handle_request(request)
