"""From people to training batches.

Which samples make a batch, and what happens to each, follows from (seed,
epoch, step) alone. A run that is resumed in the middle of an epoch therefore
sees exactly what an uninterrupted one would.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.data.augment import AugmentConfig, draw_augmentation
from tinypose.data.crops import Batch, CropDataset
from tinypose.data.parallel import NUM_WORKERS
from tinypose.data.workers import BatchWorkers
from tinypose.errors import TinyposeError


class TrainingBatches:
    """The endless, reproducible order of augmented training batches.

    Args:
        dataset: Where the crops come from.
        batch_size: Samples per batch; at most the whole set.
        augment: What may be done to them.
        seed: Of all draws.
        workers: Processes whose tasks are (epoch, step) and whose arrays are
            those of ``batch``; without them threads make the batches.

    Attributes:
        failure: Why the last batch could not be made, if it could not.
    """

    def __init__(
        self,
        dataset: CropDataset,
        batch_size: int,
        augment: AugmentConfig,
        seed: int,
        workers: BatchWorkers | None = None,
    ) -> None:
        self.workers = workers
        self.dataset = dataset
        self.batch_size = min(batch_size, len(dataset))
        self.augment = augment
        self.seed = seed
        self.failure: TinyposeError | None = None
        self._order: tuple[int, NDArray[np.intp]] | None = None

    @property
    def batch_bytes(self) -> int:
        """The memory that a batch takes."""
        pixels = int(np.prod(self.dataset.input_hw))
        # x, y and weight in four bytes each, visibility in one.
        labels = self.dataset.skeleton.num_keypoints * 13
        return self.batch_size * (pixels * 3 + labels)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass; the order decides who is left out."""
        return len(self.dataset) // self.batch_size

    def indices(self, epoch: int, step: int) -> NDArray[np.intp]:
        """Return the samples (batch_size,) of a step of an epoch."""
        order = self._order
        if order is None or order[0] != epoch:
            generator = np.random.default_rng([self.seed, epoch])
            order = (epoch, generator.permutation(len(self.dataset)))
            self._order = order
        return order[1][step * self.batch_size : (step + 1) * self.batch_size]

    def batch(self, epoch: int, step: int) -> Batch:
        """Return the augmented batch of a step of an epoch."""
        indices = self.indices(epoch, step)
        augmentations = [
            draw_augmentation(
                self.augment, np.random.default_rng([self.seed, epoch, int(index), 1])
            )
            for index in indices
        ]
        try:
            return self.dataset.batch(indices, augmentations)
        except TinyposeError as error:
            # tf.data passes errors on as its own: this one is kept as it is.
            self.failure = error
            raise

    def epoch(self, epoch: int, first_step: int = 0) -> Any:
        """Return the rest of an epoch as what Keras' ``fit`` takes.

        Elements are (images, {"keypoints_xy", "visible", "weights"}): a tf.data
        dataset on TensorFlow, a generator on Keras' other backends.
        """
        import keras

        steps = range(first_step, self.steps_per_epoch)
        if keras.backend.backend() == "tensorflow":
            return self._tf_dataset(epoch, steps)
        batches = self._batches(epoch, steps)
        return ((batch.images, batch.labels) for batch in batches)

    def _tf_dataset(self, epoch: int, steps: range) -> Any:
        import tensorflow as tf

        count = self.dataset.skeleton.num_keypoints
        types = {
            "images": ((*self.dataset.input_hw, 3), tf.uint8),
            "keypoints_xy": ((count, 2), tf.float32),
            "visible": ((count,), tf.uint8),
            "weights": ((count,), tf.float32),
        }

        def load(step: Any) -> Any:
            return tf.numpy_function(
                lambda s: tuple(self.batch(epoch, int(s))),
                [step],
                [dtype for _, dtype in types.values()],
                stateful=False,
            )

        def label(*fields: Any) -> tuple[Any, dict[str, Any]]:
            labels = dict(zip(types, fields, strict=True))
            for name, field in labels.items():
                field.set_shape((self.batch_size, *types[name][0]))
            return labels.pop("images"), labels

        if self.workers:
            signature = tuple(
                tf.TensorSpec((self.batch_size, *shape), dtype)
                for shape, dtype in types.values()
            )
            dataset = tf.data.Dataset.from_generator(
                lambda: self._batches(epoch, steps), output_signature=signature
            )
        else:
            dataset = tf.data.Dataset.range(steps.start, steps.stop)
            dataset = dataset.map(
                load, num_parallel_calls=NUM_WORKERS, deterministic=True
            )
        options = tf.data.Options()
        # The batches are made whole; replicas share each one out.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        dataset = dataset.map(label).prefetch(2 * NUM_WORKERS)
        return dataset.with_options(options)

    def _batches(self, epoch: int, steps: range) -> Iterator[Batch]:
        """Yield the batches of some steps, prepared ahead."""
        if self.workers:
            try:
                for arrays in self.workers.map([(epoch, step) for step in steps]):
                    yield Batch(*arrays)
            except TinyposeError as error:
                self.failure = error
                raise
            return
        with ThreadPoolExecutor(NUM_WORKERS) as pool:
            waiting = []
            for step in steps:
                waiting.append(pool.submit(self.batch, epoch, step))
                if len(waiting) > 2 * NUM_WORKERS:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
