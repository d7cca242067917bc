"""LitServe, the leanest way it offers for bytes. `python litserve_app.py PORT BATCH null|masker [FOLDER]`."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body, Response
from work import Work


class Api(litserve.LitAPI):
    """Decodes in the model's process, as its documentation shows it."""

    words: list[str]

    def setup(self, device: str) -> None:
        self.work = Work.of(self.words)

    def decode_request(self, request: Annotated[bytes, Body()]) -> Any:
        return self.work.read(request)

    def predict(self, batch: Any) -> Any:
        return self.work.masked(batch)

    def batch(self, inputs: Any) -> Any:
        return inputs

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> Response:
        (answer,) = self.work.answers([output])
        return Response(answer, media_type=self.work.media_type)


if __name__ == "__main__":
    size = int(sys.argv[2])
    api = Api(max_batch_size=size, batch_timeout=0.005) if size > 1 else Api()
    api.words = sys.argv[3:]
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="error")
