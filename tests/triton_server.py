"""A server that speaks KServe v2 over gRPC as Triton does, by tritonclient's own service, and answers by ONNX Runtime.

It reads a model repository with Triton's own `ModelConfig` and refuses what Triton's ONNX Runtime backend would refuse:
a static batch under `max_batch_size`, dims that are not the graph's, a version that the policy does not name.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

KINDS = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
NUMPY: dict[str, Any] = {"UINT8": np.uint8, "FP32": np.float32}


class Model:
    """A model's folder in a repository, loaded."""

    def __init__(self, folder: Path) -> None:
        self.config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        assert self.config.name == folder.name, "Triton wants the folder's name"
        (version,) = self.config.version_policy.specific.versions
        self.version = str(version)
        self.session = ort.InferenceSession(str(folder / self.version / "model.onnx"))
        for told, tensor in zip(self._declared(), self._tensors(), strict=True):
            self._check(told, tensor)

    def _declared(self) -> list[Any]:
        return [*self.config.input, *self.config.output]

    def _tensors(self) -> list[Any]:
        return [*self.session.get_inputs(), *self.session.get_outputs()]

    def _check(self, told: Any, tensor: Any) -> None:
        batched = self.config.max_batch_size > 0
        dims = list(told.reshape.shape) if told.HasField("reshape") else list(told.dims)
        assert told.name == tensor.name
        assert model_config_pb2.DataType.Name(told.data_type) == f"TYPE_{KINDS[tensor.type]}"
        assert len(told.dims) > 0, "Triton refuses empty dims"
        if batched:
            assert isinstance(tensor.shape[0], str), "the first dimension must be -1"
        assert tensor.shape[int(batched) :] == dims

    def metadata(self) -> service_pb2.ModelMetadataResponse:
        lead = [-1] if self.config.max_batch_size else []
        kinds = [KINDS[each.type] for each in self._tensors()]
        tensors = [
            service_pb2.ModelMetadataResponse.TensorMetadata(name=told.name, datatype=kind, shape=[*lead, *told.dims])
            for told, kind in zip(self._declared(), kinds, strict=True)
        ]
        return service_pb2.ModelMetadataResponse(
            name=self.config.name,
            versions=[self.version],
            platform=self.config.platform,
            inputs=tensors[:1],
            outputs=tensors[1:],
        )

    def infer(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferResponse:
        (given,) = request.inputs
        frames = np.frombuffer(request.raw_input_contents[0], NUMPY[given.datatype]).reshape(given.shape)
        answers = dict(zip(("anomaly_map", "score"), self.session.run(None, {"image": frames}), strict=True))
        response = service_pb2.ModelInferResponse(model_name=self.config.name, model_version=self.version)
        for told in self.config.output:
            values = answers[told.name]
            shape = [len(values), *told.dims] if self.config.max_batch_size else list(values.shape)
            response.outputs.add(name=told.name, datatype="FP32", shape=shape)
            response.raw_output_contents.append(values.tobytes())
        return response


class TritonServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves every model of a repository on a free port, or the given one.

    delay    seconds that an answer takes
    batches  sizes of the requests so far
    """

    def __init__(self, repository: Path, port: int = 0) -> None:
        self.repository, self.port, self.delay = repository, port, 0.0
        self.batches: list[int] = []
        self.reload()

    def reload(self) -> None:
        """Read the repository again, as Triton does when it is asked to."""
        self.models = {each.name: Model(each) for each in sorted(self.repository.iterdir()) if each.is_dir()}

    def __enter__(self) -> TritonServer:
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Hang up on everyone."""
        self._server.stop(None).wait()

    def uri(self, model: str, options: str = "") -> str:
        return f"triton://127.0.0.1:{self.port}/{model}{options}"

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self._model(request.name, request.version, context).config)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._model(request.name, request.version, context).metadata()

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = self._model(request.model_name, request.model_version, context)
        self.batches.append(request.inputs[0].shape[0])
        time.sleep(self.delay)
        return model.infer(request)

    def _model(self, name: str, version: str, context: Any) -> Model:
        model = self.models.get(name)
        if model is None or version not in ("", model.version):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' version {version}")
        assert model is not None
        return model
