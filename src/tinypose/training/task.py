"""PoseTask: a network with its codecs and losses, as Keras' ``fit`` takes it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import WindowHeatmapCodec
from tinypose.compression.quantization import FakeQuantize, imitate_int8
from tinypose.compression.sparsity import SparseKernels
from tinypose.config import Config
from tinypose.models import FAMILIES
from tinypose.models.layers import normalize_images
from tinypose.models.phases import Phase
from tinypose.training.losses import LOSSES, taught_heatmap_loss
from tinypose.training.mixed_precision import mix_bfloat16
from tinypose.training.optimizers import build_optimizer, build_schedule
from tinypose.training.teacher import Teacher, is_taught


class PoseTask(keras.Model):
    """Train a network on uint8 pictures and keypoints.

    The targets are encoded on the batch, where the network runs, and each
    output is supervised by the loss of its codec.

    Args:
        net: The network; its outputs are a dict.
        codecs: The codec of each supervised output, and of the prediction.
        num_replicas: Devices that share each batch.
        schedule: The learning rate, where the task is to be trained.
        phase: What of the network is trained.
        eight_bits: Whether all is computed as if in eight bits; see
            ``tinypose.compression.quantization``.
        sparse: Whether kernels are to become sparse, by ``sparse.update``.
        teacher: Whose heatmaps are learned beside the labels.
        teacher_weight: Share of the teacher in the loss of each keypoint that it
            knows, of each output of such heatmaps; see ``is_taught``.

    Reference:
        Zhang, Zhu & Ye, "Fast human pose estimation", CVPR 2019,
        https://arxiv.org/abs/1811.05419, section 3.2: half of the loss is the
        squared error to the teacher's heatmaps, also where labels are missing.
    """

    def __init__(
        self,
        net: keras.Model,
        codecs: dict[str, Any],
        num_replicas: int = 1,
        schedule: keras.optimizers.schedules.LearningRateSchedule | None = None,
        phase: Phase | None = None,
        eight_bits: bool = False,
        sparse: bool = False,
        teacher: Teacher | None = None,
        teacher_weight: float = 0.5,
    ) -> None:
        super().__init__(name="pose_task")
        self.net = net
        self.codecs = codecs
        self.num_replicas = num_replicas
        self.schedule = schedule
        self.phase = phase or Phase(name="all")
        # Keras keeps track of networks that are attributes.
        self.teacher_net: Any = teacher.net if teacher else None
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self.loss_weights = self.phase.outputs or dict.fromkeys(codecs, 1.0)
        if self.phase.trains:
            for layer in net.layers:
                layer.trainable = layer.name.startswith(self.phase.trains)
        self.sparse = SparseKernels(net) if sparse else None
        # Keras keeps track of variables that are attributes.
        self.masks = self.sparse.variables if self.sparse else []
        self._tested = imitate_int8(net) if eight_bits else net
        self._trained = self._tested if eight_bits else _trained_part(net, self.phase)

    @property
    def judged(self) -> str:
        """The output that shows how far training is: the last one that learns.

        Heatmaps of windows say nothing by themselves; the prediction does.
        """
        learning = list(self.loss_weights)[-1]
        windows = isinstance(self.codecs[learning], WindowHeatmapCodec)
        return list(self.codecs)[-1] if windows else learning

    @property
    def ranges(self) -> list[Any]:
        """The ranges of activations, where eight bits are imitated; variables."""
        rounding = [
            layer for layer in self._tested.layers if isinstance(layer, FakeQuantize)
        ]
        return [variable for layer in rounding for variable in layer.weights]

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        """Return the outputs for pictures.

        Args:
            inputs: uint8 pictures (batch, height, width, 3) for all outputs; or,
                where a phase imitates errors, a dict of those as ``images``, and
                of their labels.
            training: Whether layers are in training.
        """
        if not isinstance(inputs, Mapping):
            network = self._trained if training else self._tested
            outputs: dict[str, Any] = network(
                normalize_images(inputs), training=training
            )
            return outputs
        layer = self.net.get_layer(self.phase.centres)
        truth, known = CoordinateCodec(input_hw=self.net.input_shape[1:3]).encode(
            inputs["keypoints_xy"], inputs["visible"]
        )
        centres = ops.where(known[..., None] > 0, layer.imitate(truth), 0.0)
        images = normalize_images(inputs["images"])
        outputs = self._trained([images, centres], training=training)
        return {**outputs, self.phase.centres: centres}

    def prepare(self, batches: Any) -> Any:
        """Return a data set of (images, labels) as the phase's ``call`` takes it."""
        if not self.phase.centres:
            return batches

        def with_labels(images: Any, labels: Any) -> Any:
            return {"images": images, **labels}, labels

        if isinstance(batches, Iterator):  # all backends but TensorFlow
            return (with_labels(*batch) for batch in batches)
        return batches.map(with_labels)

    def compile(self, **arguments: Any) -> None:
        """Configure training; the loss that callbacks see is that of each step."""
        super().compile(**arguments)
        # Past Keras' tracking of attributes, which would list it twice.
        object.__setattr__(self, "_loss_tracker", _LastValue(name="loss"))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of the outputs' losses."""
        total: Any = 0.0
        lesson = self._lesson(x)
        for key, loss_weight in self.loss_weights.items():
            codec, labels = self.codecs[key], (y["keypoints_xy"], y["visible"])
            if isinstance(codec, WindowHeatmapCodec):
                target, weights = codec.encode_around(*labels, y_pred[codec.centres])
            else:
                target, weights = codec.encode(*labels)
            predicted = ops.cast(y_pred[key], "float32")
            weights *= y["weights"]
            if lesson is not None and is_taught(codec):
                assert self.teacher is not None
                shares = self.teacher_weight * self.teacher.known
                loss = taught_heatmap_loss(target, lesson, predicted, weights, shares)
            else:
                loss = LOSSES[type(codec)](target, predicted, weights)
            total += loss_weight * loss
        # Gradients are summed over replicas.
        return total / self.num_replicas

    def plain_loss(self, images: Any, labels: Any, outputs: Any) -> float:
        """Return the training loss on plain crops: no augmentation, no dropout.

        Where the phase imitates errors, so does this: see ``repeat_errors``.

        Args:
            images: uint8 pictures (batch, height, width, 3).
            labels: Their labels, as in ``Batch``.
            outputs: What ``predict_on_batch`` returned for the pictures.
        """
        inputs = images
        if self.phase.centres:
            inputs = {"images": images, **labels}
            outputs = self.predict_on_batch(inputs)
        return float(self.compute_loss(x=inputs, y=labels, y_pred=outputs))

    def repeat_errors(self) -> None:
        """Let the errors to come, where the phase imitates some, be the first ones."""
        if self.phase.centres:
            self.net.get_layer(self.phase.centres).restart()

    def _lesson(self, inputs: Any) -> Any:
        """Return the teacher's heatmaps of the pictures; None if none are learned."""
        learning = (self.codecs[key] for key in self.loss_weights)
        if self.teacher is None or not any(map(is_taught, learning)):
            return None
        images = inputs["images"] if isinstance(inputs, Mapping) else inputs
        return ops.stop_gradient(self.teacher.heatmaps(normalize_images(images)))

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        assert self.schedule is not None
        return float(self.schedule(step))


class _LastValue(keras.metrics.Mean):
    """The value of the last step, instead of the mean of all so far."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Keep a scalar."""
        self.total.assign(ops.cast(values, self.dtype))
        self.count.assign(1.0)


def _trained_part(net: keras.Model, phase: Phase) -> keras.Model:
    """Return the part of the network that a phase runs: what it supervises.

    Where errors are imitated, the stages before are cut off: the positions are
    a second input.
    """
    if not phase.outputs:
        return net
    inputs, outputs = net.input, net.output
    if phase.centres:
        centres = net.get_layer(phase.centres).output
        whole = keras.Model(inputs, {**outputs, phase.centres: centres})
        # Keras spoils the input of the graph that it cuts: a copy, of the same layers.
        copy = keras.models.clone_model(whole, clone_function=lambda layer: layer)
        inputs, outputs = [copy.input, copy.output[phase.centres]], copy.output
    return keras.Model(inputs, {key: outputs[key] for key in phase.outputs})


def build_task(
    config: Config,
    steps_per_epoch: int,
    num_replicas: int = 1,
    phase: Phase | None = None,
    epochs: int | None = None,
    build: Callable[[Any], keras.Model] | None = None,
    teacher: Teacher | None = None,
) -> PoseTask:
    """Build the network, its optimizer and all their variables.

    Args:
        config: The configuration.
        steps_per_epoch: Steps of an epoch.
        num_replicas: Devices that share each batch.
        phase: What of the network is trained; all, unless told otherwise.
        epochs: Of the phase; the configuration's, unless told otherwise.
        build: Makes the network of the model's configuration; the family does,
            unless told otherwise.
        teacher: Whose heatmaps are learned, too.
    """
    keras.utils.set_random_seed(config.training.seed)
    family = FAMILIES[config.family]
    net = (build or family.build)(config.model)
    if config.training.mixed_bfloat16:
        for network in (net, *([teacher.net] if teacher else [])):
            mix_bfloat16(network)
    total_steps = (epochs or config.training.epochs) * steps_per_epoch
    schedule = build_schedule(config.training, total_steps)
    task = PoseTask(
        net,
        family.codecs(config.model),
        num_replicas,
        schedule,
        phase,
        config.training.imitate_int8,
        config.training.sparsity > 0,
        teacher,
        config.training.teacher_weight,
    )
    optimizer = build_optimizer(config.training, schedule, num_replicas)
    # XLA makes these networks several times slower on CPUs; JAX has no other way.
    jit = keras.backend.backend() == "jax"
    task.compile(optimizer=optimizer, jit_compile=jit)
    task.build((None, *config.model.input_hw, 3))
    optimizer.build(task.trainable_variables)
    return task


def copy_averages(task: PoseTask, target: PoseTask) -> None:
    """Write the averaged weights into ``target``, whose network is the same.

    Statistics of batch norm are moving averages already and are copied as they
    are; without averaging, the weights are. At least one step must be done.
    """
    _synchronise(task)
    # The order of trainable_variables is that in which averages were created.
    optimizer = task.optimizer
    averages: dict[int, Any] = {}
    if optimizer.use_ema:
        for variable, average in zip(
            task.trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        ):
            averages[id(variable)] = average
    for source, destination in zip(
        [*task.net.weights, *task.ranges],
        [*target.net.weights, *target.ranges],
        strict=True,
    ):
        value = averages.get(id(source), source)
        # JAX would share the array, and then overwrite it in the next step.
        destination.assign(ops.copy(value))
    if task.sparse:
        task.sparse.apply_to(target.net)


def variable_arrays(task: PoseTask) -> dict[str, NDArray[Any]]:
    """Return all that the next step depends on, as arrays by name."""
    _synchronise(task)
    return {
        key: np.asarray(ops.convert_to_numpy(variable))
        for key, variable in _variables(task).items()
    }


def restore_variables(task: PoseTask, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Assign what ``variable_arrays`` gave; False if it is of another task."""
    variables = _variables(task)
    shapes = {key: tuple(variable.shape) for key, variable in variables.items()}
    if shapes != {key: array.shape for key, array in arrays.items()}:
        return False
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return True


def _variables(task: PoseTask) -> dict[str, Any]:
    # ``variables`` holds, beyond the weights, the seeds of random layers.
    groups = {
        "net": task.net.variables,
        "ranges": task.ranges,
        "masks": task.masks,
        "optimizer": task.optimizer.variables,
    }
    return {
        f"{group}_{number:04d}": variable
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }


def _synchronise(task: PoseTask) -> None:
    # On JAX, ``fit`` keeps the variables outside the model while it runs.
    if hasattr(task, "jax_state_sync"):
        task.jax_state_sync()
