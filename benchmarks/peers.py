"""Other people's pose models: how each file is run, fed and read.

A runtime loads a file, is fed, invoked and read. A peer knows what values its
network takes for a crop and where its output says that the keypoints are, as
its authors use it. Files and runtimes are the reader's to get: nothing here
belongs to tinypose, and nothing is downloaded.

    python benchmarks/peers.py RUNTIME SHAPE FILE [FILE]

prints what the first result costs a fresh process. For its sake this module
imports no more than it must.
"""

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.inference.memory import peak_memory
from tinypose.quiet import quiet_stderr
from tinypose.skeletons import COCO, Skeleton

Array = NDArray[Any]
Cost = tuple[int, int]
"""Parameters, and multiply-accumulate operations for one crop."""


class Runtime:
    """A loaded network; ``feed``, ``invoke`` and ``read`` in this order.

    Args:
        files: The model's files.
        num_threads: Threads that it may use.
    """

    title: ClassVar[str]
    packages: ClassVar[dict[str, str]]
    """What must be installed: the packages' names, by module."""

    def __init__(self, files: Sequence[Path], num_threads: int) -> None:
        raise NotImplementedError

    def feed(self, values: Array) -> None:
        """Set the input (1, ...), as the peer's ``prepare`` returns it."""
        raise NotImplementedError

    def invoke(self) -> None:
        """Run the network on what it was fed: this is what is timed."""
        raise NotImplementedError

    def read(self) -> list[Array]:
        """Return the outputs (1, ...)."""
        raise NotImplementedError

    @classmethod
    def missing(cls) -> list[str]:
        """Return the packages that are not installed."""
        return [name for module, name in cls.packages.items() if not find_spec(module)]

    @staticmethod
    def count_cost(files: Sequence[Path], shape: tuple[int, ...]) -> Cost:
        """Return parameters and operations of a network fed ``shape``.

        Convolutions, transposed and depthwise ones included, and dense layers
        count, as in ``tinypose.models.cost``. Parameters are those of the file,
        where batch norm is folded into the convolutions before it.
        """
        raise NotImplementedError


class LiteRT(Runtime):
    """A ``.tflite`` file, run by LiteRT."""

    title = "LiteRT"
    packages: ClassVar = {"ai_edge_litert": "ai-edge-litert"}

    def __init__(self, files: Sequence[Path], num_threads: int) -> None:
        with quiet_stderr():
            from ai_edge_litert.interpreter import Interpreter

            self._interpreter = Interpreter(str(files[0]), num_threads=num_threads)
            self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def feed(self, values: Array) -> None:
        """Set the input, cast to its type."""
        values = np.asarray(values, self._input["dtype"])
        self._interpreter.set_tensor(self._input["index"], values)

    def invoke(self) -> None:
        """Run the network."""
        self._interpreter.invoke()

    def read(self) -> list[Array]:
        """Return the outputs, in the file's order."""
        return [self._interpreter.get_tensor(o["index"]) for o in self._outputs]

    @staticmethod
    def count_cost(files: Sequence[Path], shape: tuple[int, ...]) -> Cost:
        """Walk the operators of the file, as they are without a delegate."""
        with quiet_stderr():
            from ai_edge_litert.interpreter import Interpreter, OpResolverType

            plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            interpreter = Interpreter(
                str(files[0]), experimental_op_resolver_type=plain
            )
            interpreter.allocate_tensors()
        shapes = {t["index"]: t["shape"] for t in interpreter.get_tensor_details()}
        macs, weights = 0, set()
        for operator in interpreter._get_ops_details():
            kind, (output, *_) = operator["op_name"], operator["outputs"]
            first, *others = (int(index) for index in operator["inputs"])
            if kind == "TRANSPOSE_CONV":
                # Its first input is the output's shape; every weight meets
                # every position of the picture, which comes third.
                positions = math.prod(shapes[others.pop(1)][1:3])
            elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                positions = math.prod(shapes[int(output)][1:3])
            elif kind == "FULLY_CONNECTED":
                positions = math.prod(shapes[first]) // shapes[others[0]][-1]
            elif kind == "PRELU":
                positions = 0
            else:
                continue
            macs += int(positions * math.prod(shapes[others[0]]))
            # A missing bias has the index -1.
            weights |= {index for index in others if index >= 0}
        return int(sum(math.prod(shapes[index]) for index in weights)), macs


class OnnxRuntime(Runtime):
    """An ``.onnx`` file, run by ONNX Runtime."""

    title = "ONNX Runtime"
    packages: ClassVar = {"onnxruntime": "onnxruntime", "onnx": "onnx"}

    def __init__(self, files: Sequence[Path], num_threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Its threads must not spin while another model is measured.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            str(files[0]), options, providers=["CPUExecutionProvider"]
        )
        self._name = self._session.get_inputs()[0].name

    def feed(self, values: Array) -> None:
        """Set the input."""
        self._values = np.ascontiguousarray(values, np.float32)

    def invoke(self) -> None:
        """Run the network."""
        self._outputs = self._session.run(None, {self._name: self._values})

    def read(self) -> list[Array]:
        """Return the outputs, in the file's order."""
        return list(self._outputs)

    @staticmethod
    def count_cost(files: Sequence[Path], shape: tuple[int, ...]) -> Cost:
        """Walk the nodes of the graph."""
        import onnx

        graph = onnx.shape_inference.infer_shapes(onnx.load(str(files[0]))).graph
        shapes = {
            value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
            for value in [*graph.input, *graph.value_info, *graph.output]
        }
        weights = {tensor.name: tensor for tensor in graph.initializer}
        macs = 0
        for node in graph.node:
            if node.op_type in ("Conv", "ConvTranspose"):
                spreads = node.op_type == "ConvTranspose"
                positions = shapes[node.input[0] if spreads else node.output[0]][2:]
                macs += math.prod(positions) * math.prod(weights[node.input[1]].dims)
            elif node.op_type == "Gemm":
                macs += math.prod(weights[node.input[1]].dims)
        real = [t for t in weights.values() if t.data_type == onnx.TensorProto.FLOAT]
        return sum(math.prod(tensor.dims) for tensor in real), macs


class Ncnn(Runtime):
    """A ``.param`` file and its ``.bin``, run by ncnn."""

    title = "ncnn"
    packages: ClassVar = {"ncnn": "ncnn"}

    def __init__(
        self, files: Sequence[Path], num_threads: int, *, keep_blobs: bool = False
    ) -> None:
        import ncnn

        self._matrix = ncnn.Mat
        self.net = ncnn.Net()
        self.net.opt.num_threads = num_threads
        self.net.opt.use_vulkan_compute = False
        self.net.opt.lightmode = not keep_blobs
        graph, weights = files
        if self.net.load_param(str(graph)) or self.net.load_model(str(weights)):
            raise ValueError(f"{graph}: ncnn cannot load it")
        self._names = self.net.input_names()[0], self.net.output_names()[0]

    def feed(self, values: Array) -> None:
        """Set the input."""
        # A copy: a matrix made of an array only borrows its memory.
        values = np.ascontiguousarray(values[0], np.float32)
        self._values = self._matrix(values).clone()

    def invoke(self) -> None:
        """Run the network."""
        self._output = self.extract(self._names[1])

    def read(self) -> list[Array]:
        """Return the output."""
        return [np.array(self._output)[None]]

    def extract(self, blob: str) -> Any:
        """Run the network as far as a blob and return that."""
        extractor = self.net.create_extractor()
        extractor.input(self._names[0], self._values)
        failed, matrix = extractor.extract(blob)
        if failed:
            raise ValueError(f"ncnn cannot compute {blob}")
        return matrix

    @staticmethod
    def count_cost(files: Sequence[Path], shape: tuple[int, ...]) -> Cost:
        """Walk the lines of the ``.param`` file; sizes are those of a run."""
        network = Ncnn(files, 1, keep_blobs=True)
        network.feed(np.zeros(shape, np.float32))
        parameters = macs = 0
        # Kind, name, number of inputs and of outputs, their names, key=value.
        for line in files[0].read_text().splitlines()[2:]:
            kind, _, num_inputs, num_outputs, *rest = line.split()
            if not kind.startswith("Convolution"):
                continue
            first = int(num_inputs)
            entries = rest[first + int(num_outputs) :]
            values = dict(entry.split("=", 1) for entry in entries)
            output = network.extract(rest[first])
            num_weights = int(values["6"])
            bias = int(values["0"]) if values.get("5") == "1" else 0
            parameters += num_weights + bias
            macs += num_weights * output.w * output.h
        return parameters, macs


RUNTIMES: dict[str, type[Runtime]] = {
    runtime.__name__: runtime for runtime in (LiteRT, OnnxRuntime, Ncnn)
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Someone else's model.

    Args:
        name: As its authors call it.
        files: Names of its files.
        input_hw: Height and width of the crop.
        source: Where the files come from.
        licence: Terms of the files, as far as stated.
    """

    name: str
    files: tuple[str, ...]
    input_hw: tuple[int, int]
    source: str
    licence: str
    runtime: ClassVar[type[Runtime]] = LiteRT
    skeleton: ClassVar[Skeleton] = COCO

    def prepare(self, crop: Array) -> Array:
        """Return the network's input for a crop (height, width, 3) uint8 RGB."""
        return crop[None]

    def decode(self, outputs: list[Array]) -> Array:
        """Return keypoints_xy (num_keypoints, 2), crop pixels."""
        raise NotImplementedError


def _skeleton(name: str, names: str) -> Skeleton:
    return Skeleton(name=name, names=tuple(names.split()))


class MoveNet(Peer):
    """Keypoints as shares of the crop, y before x."""

    def decode(self, outputs: list[Array]) -> Array:
        """Read (1, 1, 17, 3): y, x, score."""
        keypoints_yx = outputs[0][0, 0, :, :2]
        places = keypoints_yx[:, ::-1] * np.array(self.input_hw[::-1]) - 0.5
        return np.asarray(places)


class HeatmapPeer(Peer):
    """One heatmap per keypoint, smoothed or refined between cells.

    Where ours agree with the picture in their edges, theirs do in their first
    pixels: their authors draw and read cell c at pixel c x stride.
    """

    refinement: ClassVar[str] = "none"

    def maps(self, outputs: list[Array]) -> Array:
        """Return the heatmaps (height, width, num_keypoints), smoothed."""
        raise NotImplementedError

    def decode(self, outputs: list[Array]) -> Array:
        """Take the highest cell of each map."""
        maps = self.maps(outputs)
        height, width, _ = maps.shape
        codec = HeatmapCodec(input_hw=self.input_hw, heatmap_hw=(height, width))
        keypoints_xy, _ = codec.decode(maps[None], self.refinement)
        return np.asarray(keypoints_xy[0] - (np.array(codec.stride_xy) - 1) / 2)


class EfficientPoseRT(HeatmapPeer):
    """MPII's keypoints, neck and thorax apart; the maps are upscaled inside."""

    skeleton: ClassVar = _skeleton(
        "efficient_pose",
        "head_top neck right_shoulder right_elbow right_wrist thorax "
        "left_shoulder left_elbow left_wrist pelvis right_hip right_knee "
        "right_ankle left_hip left_knee left_ankle",
    )

    def prepare(self, crop: Array) -> Array:
        """Normalise as for ImageNet."""
        return standardise(crop)[None]

    def maps(self, outputs: list[Array]) -> Array:
        """Smooth the last output; the others are intermediate."""
        return smooth(outputs[-1][0], side=9, sigma=1.0)


class PoseForMobile(HeatmapPeer):
    """AI Challenger's keypoints from the head down; takes BGR, 0..255."""

    skeleton: ClassVar = _skeleton(
        "pose_for_mobile",
        "head_top neck right_shoulder right_elbow right_wrist left_shoulder "
        "left_elbow left_wrist right_hip right_knee right_ankle left_hip "
        "left_knee left_ankle",
    )

    def prepare(self, crop: Array) -> Array:
        """Swap red and blue."""
        return crop[None, ..., ::-1]

    def maps(self, outputs: list[Array]) -> Array:
        """Smooth over 5 x 5 cells, as the authors' demo does."""
        return smooth(outputs[0][0], side=5)


class PPTinyPose(HeatmapPeer):
    """Channels first, normalised as for ImageNet; distribution-aware.

    So the authors' own predictor reads it; the demo for phones takes the highest
    cell.
    """

    runtime: ClassVar[type[Runtime]] = Ncnn
    refinement: ClassVar[str] = "dark"

    def prepare(self, crop: Array) -> Array:
        """Normalise and put the channels first."""
        return standardise(crop).transpose(2, 0, 1)[None]

    def maps(self, outputs: list[Array]) -> Array:
        """Put the channels last again."""
        return np.asarray(outputs[0][0].transpose(1, 2, 0))


class UltralightSimplePose(PPTinyPose):
    """Fed as PP-TinyPose is; moved by a quarter of a cell."""

    runtime: ClassVar = OnnxRuntime
    refinement: ClassVar = "quarter"


class BlazePoseLite(Peer):
    """Coordinates, each refined around itself on a heatmap.

    Read in one pass: MediaPipe would turn the crop upright by two more points
    and look again.
    """

    skeleton: ClassVar = _skeleton(
        "blaze_pose",
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye "
        "right_eye_outer left_ear right_ear mouth_left mouth_right "
        "left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist left_pinky right_pinky left_index right_index left_thumb "
        "right_thumb left_hip right_hip left_knee right_knee left_ankle "
        "right_ankle left_heel right_heel left_foot_index right_foot_index",
    )
    radius: ClassVar[int] = 3
    least_confidence: ClassVar[float] = 0.5

    def prepare(self, crop: Array) -> Array:
        """Scale to 0..1."""
        return crop[None].astype(np.float32) / 255

    def decode(self, outputs: list[Array]) -> Array:
        """Read (1, 39 x 5): x, y, z and two scores; refine on (1, 64, 64, 39)."""
        keypoints_xy = outputs[0].reshape(-1, 5)[:, :2].astype(np.float64)
        maps = outputs[3][0]
        stride = self.input_hw[0] / len(maps)
        for index in range(self.skeleton.num_keypoints):
            cell = self._centre_of_mass(maps[..., index], keypoints_xy[index] / stride)
            if cell is not None:
                keypoints_xy[index] = cell * stride
        return keypoints_xy[: self.skeleton.num_keypoints] - 0.5

    def _centre_of_mass(self, logits: Array, cell_xy: Array) -> Array | None:
        """Return the mean cell (x, y) around one; None where the map is unsure."""
        (height, width), (x, y) = logits.shape, cell_xy.astype(int)
        if not (0 <= x < width and 0 <= y < height):
            return None
        left, top = max(x - self.radius, 0), max(y - self.radius, 0)
        part = logits[top : y + self.radius + 1, left : x + self.radius + 1]
        share = 1 / (1 + np.exp(-part.astype(np.float64)))
        if share.max() < self.least_confidence:
            return None
        rows, columns = np.indices(share.shape)
        weighted = [(columns + left) * share, (rows + top) * share]
        return np.asarray([value.sum() for value in weighted] / share.sum())


PEERS: tuple[Peer, ...] = (
    MoveNet(
        name="MoveNet Lightning int8",
        files=("movenet_lightning_int8_coral.tflite",),
        input_hw=(192, 192),
        source="google-coral/test_data",
        licence="Apache-2.0",
    ),
    MoveNet(
        name="MoveNet Lightning fp16",
        files=("movenet_lightning_tfjs_fp16.tflite",),
        input_hw=(192, 192),
        source="Google, version 4, converted from TF.js",
        licence="not stated",
    ),
    PPTinyPose(
        name="PP-TinyPose 128x96",
        files=("tinypose_128x96.param", "tinypose_128x96.bin"),
        input_hw=(128, 96),
        source="PaddleDetection, converted by FeiGeChuanShu/ncnn_Android_PP-TinyPose",
        licence="Apache-2.0; conversion not stated",
    ),
    PPTinyPose(
        name="PP-TinyPose 256x192",
        files=("tinypose_256x192.param", "tinypose_256x192.bin"),
        input_hw=(256, 192),
        source="PaddleDetection, converted by FeiGeChuanShu/ncnn_Android_PP-TinyPose",
        licence="Apache-2.0; conversion not stated",
    ),
    EfficientPoseRT(
        name="EfficientPose RT",
        files=("EfficientPoseRT.tflite",),
        input_hw=(224, 224),
        source="daniegr/EfficientPose",
        licence="Apache-2.0",
    ),
    PoseForMobile(
        name="PoseEstimationForMobile CPM",
        files=("pefm_cpm.tflite",),
        input_hw=(192, 192),
        source="edvardHua/PoseEstimationForMobile",
        licence="Apache-2.0",
    ),
    PoseForMobile(
        name="PoseEstimationForMobile hourglass",
        files=("pefm_hourglass.tflite",),
        input_hw=(192, 192),
        source="edvardHua/PoseEstimationForMobile",
        licence="Apache-2.0",
    ),
    BlazePoseLite(
        name="BlazePose lite (one pass)",
        files=("pose_landmark_lite.tflite",),
        input_hw=(256, 256),
        source="@mediapipe/pose",
        licence="Apache-2.0",
    ),
    UltralightSimplePose(
        name="Ultralight-SimplePose",
        files=("ultralight_simplepose.onnx",),
        input_hw=(256, 192),
        source="dog-qiuqiu/Ultralight-SimplePose",
        licence="not stated",
    ),
)


def standardise(crop: Array) -> Array:
    """Return a crop less ImageNet's mean, in its standard deviations."""
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    return (crop.astype(np.float32) / 255 - mean) / deviation


def smooth(maps: Array, side: int, sigma: float = 0.0) -> Array:
    """Blur maps (height, width, n) by a Gaussian; 0 fits sigma to the side."""
    # A fresh process measured below does without.
    import cv2

    return cv2.GaussianBlur(np.ascontiguousarray(maps), (side, side), sigma)


def first_result(runtime: type[Runtime], shape: str, files: Sequence[str]) -> None:
    """Print the seconds to the first result, and the peak of memory, as JSON.

    The clock starts before the runtime is imported; Python and NumPy are there.
    The memory is all that the process has ever held.
    """
    values = np.zeros([int(size) for size in shape.split(",")], np.float32)
    begun = time.perf_counter()
    network = runtime([Path(file) for file in files], 1)
    network.feed(values)
    network.invoke()
    network.read()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak_mib": (peak_memory() or 0) / 2**20}))


if __name__ == "__main__":
    first_result(RUNTIMES[sys.argv[1]], sys.argv[2], sys.argv[3:])
