"""Imitate eight bits in full precision: to learn with them, and to blame layers.

``imitate_int8`` gives a network that shares all weights with its source and
rounds what the TensorFlow Lite converter will round: weights, batch norm folded
into them, one scale per output channel; and each activation that a fused
operation hands on, one scale per tensor. The gradient passes the rounding as if
it were not there, so the weights can settle where rounding does least harm. Of a
batch norm that cannot be folded, as behind an activation or an addition, the result
alone is rounded here; the converter rounds its scale and its shift, too.

References:
    Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", CVPR 2018,
    https://arxiv.org/abs/1712.05877, sections 3.1 and 3.2 (folding, moving
    averages of the ranges); Krishnamoorthi, "Quantizing deep convolutional
    networks for efficient inference", 2018, https://arxiv.org/abs/1806.08342,
    section 2 (weights per channel).
"""

from collections import Counter
from typing import Any

import keras
from keras import layers, ops

from tinypose.compression.graph import read_graph
from tinypose.models.layers import NearestUpsampling

LEVELS = 255
"""Steps between the ends of an activation's range."""

WEIGHT_LEVELS = 127
"""Steps from 0 to the largest weight: they are symmetric."""

RANGE_MOMENTUM = 0.99
"""Of the moving averages of the ranges in training."""

PASSING = (
    layers.InputLayer,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    NearestUpsampling,
    layers.UpSampling2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.Flatten,
    layers.Reshape,
    layers.ZeroPadding2D,
)
"""Layers whose result has the scale of what they are given."""

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


class FakeQuantize(layers.Layer):
    """Round a tensor to 256 values between the ends of its range.

    In training the range is a moving average of the batches' extremes.

    Args:
        source: Name of the layer whose result it rounds.
    """

    def __init__(self, source: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.source = source
        self.active = True
        self.observing = False

    def build(self, input_shape: Any) -> None:
        """Make the range; it is empty until something has been seen."""
        self.low, self.high = (
            self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
            for name in ("low", "high")
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs rounded; gradients end outside of the range."""
        if training or self.observing:
            self._widen(inputs, moving=not self.observing)
        if not self.active:
            return inputs
        # Zero must be a value: it is what borders are filled with.
        low = ops.minimum(self.low, 0.0)
        step = ops.maximum((ops.maximum(self.high, 0.0) - low) / LEVELS, 1e-9)
        low = ops.round(low / step) * step
        clipped = ops.clip(inputs, low, low + LEVELS * step)
        rounded = ops.round(clipped / step) * step
        return clipped + ops.stop_gradient(rounded - clipped)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return input_shape

    def _widen(self, inputs: Any, moving: bool) -> None:
        low, high = (
            ops.stop_gradient(extreme(inputs)) for extreme in (ops.min, ops.max)
        )
        if not moving:
            low, high = ops.minimum(self.low, low), ops.maximum(self.high, high)
        else:
            # The first batch is all that is known.
            weight = ops.where(self.high > self.low, 1 - RANGE_MOMENTUM, 1.0)
            low = self.low + weight * (low - self.low)
            high = self.high + weight * (high - self.high)
        self.low.assign(low)
        self.high.assign(high)


class QuantizedConvolution(layers.Layer):
    """A convolution or dense layer with rounded weights, batch norm folded.

    Args:
        source: The layer, whose variables are used.
        norm: The batch norm that follows directly, if any; its statistics stay
            as they are.
        per_channel: Whether each output channel has a scale of its own.
    """

    def __init__(
        self, source: Any, norm: Any = None, per_channel: bool = True, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.source = source
        self.norm = norm
        self.per_channel = per_channel
        self.active = True

    def call(self, inputs: Any) -> Any:
        """Return what the layer, and the norm, make of the inputs."""
        source, norm = self.source, self.norm
        kernel, bias = ops.convert_to_tensor(source.kernel), 0.0
        if source.use_bias:
            bias = ops.convert_to_tensor(source.bias)
        if norm is not None:
            scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
            if norm.scale:
                scale = scale * norm.gamma
            bias = (bias - norm.moving_mean) * scale
            if norm.center:
                bias = bias + norm.beta
            kernel = kernel * self._along_kernel(scale)
        if self.active:
            kernel = self._rounded(kernel)
        return source.activation(self._apply(inputs, kernel) + bias)

    def _along_kernel(self, scale: Any) -> Any:
        """Return what belongs to the output channels in the kernel's shape."""
        if isinstance(self.source, layers.DepthwiseConv2D):
            return ops.reshape(scale, self.source.kernel.shape[2:])
        return scale

    def _rounded(self, kernel: Any) -> Any:
        rank = len(kernel.shape)
        kept = 2 if isinstance(self.source, layers.DepthwiseConv2D) else 1
        axes = tuple(range(rank - kept)) if self.per_channel else None
        largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
        step = ops.stop_gradient(ops.maximum(largest, 1e-9)) / WEIGHT_LEVELS
        rounded = ops.round(kernel / step) * step
        return kernel + ops.stop_gradient(rounded - kernel)

    def _apply(self, inputs: Any, kernel: Any) -> Any:
        source = self.source
        if isinstance(source, layers.Dense):
            return ops.matmul(inputs, kernel)
        apply = (
            ops.depthwise_conv
            if isinstance(source, layers.DepthwiseConv2D)
            else ops.conv
        )
        return apply(
            inputs,
            kernel,
            strides=source.strides,
            padding=source.padding,
            dilation_rate=source.dilation_rate,
        )


def imitate_int8(net: keras.Model, *, per_channel: bool = True) -> keras.Model:
    """Return a network that computes what ``net`` will compute in eight bits.

    It shares the variables of ``net``; statistics of batch norm are not
    updated by it.

    Args:
        net: A functional network without windows.
        per_channel: Whether weights have a scale for each output channel.

    Raises:
        TinyposeError: the network is no graph of layers.
    """
    fusion = _Fusion(net)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        name = layer.name
        if name in fusion.norm_of:
            norm = fusion.norm_of[name]
            x = QuantizedConvolution(
                layer, norm, per_channel, name=f"{name}_quantized"
            )(*arguments)
        elif name in fusion.folded:
            x = arguments[0]
        elif isinstance(layer, layers.BatchNormalization):
            x = layer(*arguments, **{**options, "training": False})
        else:
            x = layer(*arguments, **options)
        return fusion.rounded(layer, x)

    return keras.models.clone_model(
        net, clone_function=lambda layer: layer, call_function=call
    )


class _Fusion:
    """Which layers of a network become one operation.

    Args:
        net: The network.
    """

    def __init__(self, net: keras.Model) -> None:
        graph = read_graph(net)
        times = Counter(call.name for call in graph.calls)
        self._once = {call.name for call in graph.calls if times[call.name] == 1}
        self._consumers: dict[str, list[Any]] = {call.name: [] for call in graph.calls}
        for call in graph.calls:
            for tensor in call.inputs:
                self._consumers[tensor.key[0]].append(call.layer)
        for key in graph.outputs:
            self._consumers[key[0]].append(None)
        self.norm_of: dict[str, Any] = {
            call.name: self._norm_behind(call.layer)
            for call in graph.calls
            if type(call.layer) in CONVOLUTIONS and call.name in self._once
        }
        self.folded = {norm.name for norm in self.norm_of.values() if norm is not None}
        self._made: Counter[str] = Counter()

    def rounded(self, layer: Any, x: Any) -> Any:
        """Return a layer's result rounded, where its operation ends with it."""
        if isinstance(layer, PASSING) or self._goes_on(layer):
            return x
        self._made[layer.name] += 1
        number = self._made[layer.name]
        suffix = f"_{number}" if number > 1 else ""
        name = f"{layer.name}_rounded{suffix}"
        return keras.tree.map_structure(
            lambda tensor: FakeQuantize(layer.name, name=name)(tensor), x
        )

    def _goes_on(self, layer: Any) -> bool:
        """Return whether the operation of a layer includes the one behind it."""
        if layer.name not in self._once:
            return False
        if self.norm_of.get(layer.name) is not None:
            return True
        behind = self._only_consumer(layer)
        # Rectified in the same breath, by all that has two or more inputs, too.
        return isinstance(behind, layers.ReLU) and not isinstance(layer, layers.ReLU)

    def _norm_behind(self, layer: Any) -> Any:
        norm = self._only_consumer(layer)
        if (
            not isinstance(norm, layers.BatchNormalization)
            or norm.name not in self._once
            or isinstance(layer, layers.Dense)
            or layer.activation is not keras.activations.linear
        ):
            return None
        return norm

    def _only_consumer(self, layer: Any) -> Any:
        consumers = self._consumers[layer.name]
        return consumers[0] if len(consumers) == 1 else None
