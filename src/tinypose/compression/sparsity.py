"""Set the smallest weights to zero, wherever they stand, and keep them there.

A file with many zeros packs into fewer bytes; it runs no faster, unless the
runtime has sparse kernels. To make a network faster, remove channels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from tinypose.compression.graph import read_graph
from tinypose.errors import UsageError, did_you_mean

Masks = dict[str, NDArray[np.bool_]]
"""By layer, the shape of its kernel: True where a weight stays."""

SCOPES = ("global", "layer")

KERNELS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.Dense,
)


def sparsify(
    net: keras.Model,
    sparsity: float,
    *,
    scope: str = "global",
    exclude: Collection[str] | None = None,
) -> Masks:
    """Set the smallest weights of convolutions and dense layers to zero.

    Depthwise convolutions stay as they are: they have few weights, and need
    them. So do biases and batch norms. Weights that are zero already count as
    the smallest: a higher sparsity later adds to the zeros.

    Args:
        net: The network; it is changed.
        sparsity: Share of the weights that become zero, 0 to 1, of all layers
            that are not excluded.
        scope: ``global`` ranks the weights of all layers together; ``layer``
            takes the same share of each.
        exclude: Names of layers that stay as they are; by default the first and
            the last ones, see ``first_and_last``.

    Returns:
        For ``apply_masks``, after each step of a training.

    Raises:
        UsageError: an argument does not fit.

    Reference:
        Han, Pool, Tran & Dally, "Learning both weights and connections for
        efficient neural networks", NIPS 2015, https://arxiv.org/abs/1506.02626,
        section 3; depthwise and first layers stay dense as in Zhu & Gupta, "To
        prune, or not to prune", 2017, https://arxiv.org/abs/1710.01878,
        section 4.
    """
    if not 0 <= sparsity <= 1:
        raise UsageError(f"sparsity: expected 0 to 1, found {sparsity}")
    if scope not in SCOPES:
        raise UsageError(f"scope: expected {' or '.join(SCOPES)}, found {scope!r}")
    excluded = set(first_and_last(net) if exclude is None else exclude)
    for name in excluded:
        _kernel_layer(net, name)
    sizes = {
        layer.name: np.abs(ops.convert_to_numpy(layer.kernel))
        for layer in _kernel_layers(net)
        if layer.name not in excluded
    }
    if scope == "layer":
        masks = {name: _largest(size, sparsity) for name, size in sizes.items()}
    else:
        masks = _largest_of_all(sizes, sparsity)
    apply_masks(net, masks)
    return masks


def apply_masks(net: keras.Model, masks: Mapping[str, Any]) -> None:
    """Set the masked weights of a network to zero.

    Args:
        net: The network, or one of the same layers, such as the copy that has
            the averaged weights.
        masks: As ``sparsify`` returns them; also as tensors.

    Raises:
        UsageError: the masks are those of another network.
    """
    for name, mask in masks.items():
        kernel = _kernel_layer(net, name).kernel
        if tuple(mask.shape) != tuple(kernel.shape):
            raise UsageError(
                f"layer {name!r}: expected a mask of shape {tuple(kernel.shape)}, "
                f"found {tuple(mask.shape)}; was the network pruned since?"
            )
        kernel.assign(ops.where(mask, kernel, 0.0))


class SparseKernels:
    """Hold the smallest weights of a network at zero while it is trained.

    Every optimizer of Keras applies the masks after each of its steps.

    Args:
        net: The network, before its training function is built.

    Raises:
        UsageError: the backend is JAX, which would keep the first masks for ever.
    """

    def __init__(self, net: keras.Model) -> None:
        if keras.backend.backend() == "jax":
            raise UsageError(
                "training.sparsity: expected TensorFlow or PyTorch, found JAX, which "
                "cannot change masks while it trains; set KERAS_BACKEND=tensorflow"
            )
        self._net = net
        self._masks: dict[str, Any] = {}
        excluded = first_and_last(net)
        for layer in _kernel_layers(net):
            if layer.name not in excluded:
                mask = keras.Variable(
                    np.ones(layer.kernel.shape, np.float32),
                    trainable=False,
                    name=f"{layer.name}_mask",
                )
                self._masks[layer.name] = mask
                layer.kernel.constraint = _Masked(mask)

    @property
    def variables(self) -> list[Any]:
        """The masks, 1 where a weight stays; backend variables."""
        return list(self._masks.values())

    def update(self, sparsity: float) -> bool:
        """Choose anew which weights are zero; those that are zero stay it.

        Args:
            sparsity: Share of the weights, 0 to 1; at least as many as there are.

        Returns:
            Whether more weights are zero than before.
        """
        before = self._zeros()
        masks = sparsify(self._net, max(sparsity, before))
        for name, mask in masks.items():
            self._masks[name].assign(mask.astype(np.float32))
        return self._zeros() > before

    def _zeros(self) -> float:
        """Return the share of zeros among the weights that can be masked."""
        kernels = [
            ops.convert_to_numpy(_kernel_layer(self._net, name).kernel).ravel()
            for name in self._masks
        ]
        return float(np.mean(np.concatenate(kernels) == 0)) if kernels else 0.0

    def apply_to(self, net: keras.Model) -> None:
        """Mask another network of the same layers, such as the averaged one."""
        apply_masks(
            net,
            {
                name: ops.convert_to_numpy(mask) > 0
                for name, mask in self._masks.items()
            },
        )


class _Masked(keras.constraints.Constraint):
    def __init__(self, mask: Any) -> None:
        self._mask = mask

    def __call__(self, w: Any) -> Any:
        return w * self._mask


def measure_sparsity(net: keras.Model) -> float:
    """Return the share of zeros among the weights of all kernels.

    Those of convolutions, depthwise and excluded ones included, and of dense
    layers: what counts for the size of a file.
    """
    zeros = total = 0
    for layer in net.layers:
        if isinstance(layer, (*KERNELS, layers.DepthwiseConv2D)):
            kernel = ops.convert_to_numpy(layer.kernel)
            zeros += int((kernel == 0).sum())
            total += kernel.size
    return zeros / total if total else 0.0


def first_and_last(net: keras.Model) -> set[str]:
    """Return the layers that see the network's input or give its outputs.

    Between them and the input, or the output, is no other convolution or dense
    layer. They have few weights, and no other layer makes up for what they
    lose.
    """
    graph = read_graph(net)
    has_kernel = {
        call.name: isinstance(call.layer, (*KERNELS, layers.DepthwiseConv2D))
        for call in graph.calls
    }
    raw: set[str] = set()
    found: set[str] = set()
    for call in graph.calls:
        sees = not call.inputs or any(t.key[0] in raw for t in call.inputs)
        if sees:
            (found if has_kernel[call.name] else raw).add(call.name)
    last = {key[0] for key in graph.outputs}
    for call in reversed(graph.calls):
        if call.name in last and not has_kernel[call.name]:
            last |= {tensor.key[0] for tensor in call.inputs}
    found |= {name for name in last if has_kernel[name]}
    return {layer.name for layer in _kernel_layers(net)} & found


@dataclass(frozen=True, kw_only=True)
class SparsitySchedule:
    """How sparse a network should be at each step of a training.

    Many weights go soon, while the network can make up for them, and ever fewer
    later: a cubic curve.

    Args:
        initial: Sparsity up to ``begin_step``, 0 to 1.
        final: Sparsity from ``end_step`` on, at least ``initial``.
        begin_step: Where the sparsity begins to rise.
        end_step: Where it ends; the steps after it recover.

    Reference:
        Zhu & Gupta, "To prune, or not to prune: exploring the efficacy of
        pruning for model compression", 2017, https://arxiv.org/abs/1710.01878,
        equation 1.
    """

    initial: float = 0.0
    final: float
    begin_step: int = 0
    end_step: int

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.final <= 1:
            raise UsageError(
                "expected sparsities 0 <= initial <= final <= 1, found "
                f"{self.initial} and {self.final}"
            )
        if not 0 <= self.begin_step < self.end_step:
            raise UsageError(
                "expected steps 0 <= begin_step < end_step, found "
                f"{self.begin_step} and {self.end_step}"
            )

    def at(self, step: int) -> float:
        """Return the sparsity at a step, counted from 0."""
        share = (step - self.begin_step) / (self.end_step - self.begin_step)
        left = (1.0 - min(max(share, 0.0), 1.0)) ** 3
        return self.final + (self.initial - self.final) * left


def _kernel_layers(net: keras.Model) -> list[Any]:
    return [layer for layer in net.layers if isinstance(layer, KERNELS)]


def _kernel_layer(net: keras.Model, name: str) -> Any:
    known = {layer.name: layer for layer in _kernel_layers(net)}
    if name not in known:
        raise UsageError(
            f"expected the name of a convolution or dense layer, found {name!r}"
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def _largest(sizes: NDArray[Any], sparsity: float) -> NDArray[np.bool_]:
    """Return which values of an array stay: all but the smallest share."""
    mask = np.ones(sizes.size, bool)
    # Ranks, not a threshold: of equal values, exactly as many as asked for go.
    order = np.argsort(sizes, axis=None, kind="stable")
    mask[order[: round(sparsity * sizes.size)]] = False
    return mask.reshape(sizes.shape)


def _largest_of_all(sizes: dict[str, NDArray[Any]], sparsity: float) -> Masks:
    if not sizes:
        return {}
    flat = _largest(np.concatenate([s.ravel() for s in sizes.values()]), sparsity)
    ends = np.cumsum([size.size for size in sizes.values()])[:-1]
    parts = np.split(flat, ends)
    return {
        name: part.reshape(size.shape)
        for (name, size), part in zip(sizes.items(), parts, strict=True)
    }
