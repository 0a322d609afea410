"""Optimizers with averaged weights, and the learning rate over the steps."""

from typing import Any

import keras
from keras import ops

from tinypose.config import TrainingConfig

MIN_MUON_CHANNELS = 8
"""Kernels of fewer channels, in or out, are no matrices worth the name."""


class _Averages:
    """Average the weights the way that training here needs it.

    The momentum warms up, so that the averages are of use from the first epoch
    on. They are read apart (``copy_averages``): Keras would overwrite the
    weights with them at the end of every ``fit``, in the middle of a run.
    """

    use_ema: bool
    ema_momentum: float
    iterations: Any
    _model_variables_moving_average: Any

    def finalize_variable_values(self, var_list: Any) -> None:
        pass

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        if not self.use_ema:
            return
        step = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, step / (step + 10.0))
        for variable, average in zip(
            trainable_variables, self._model_variables_moving_average, strict=True
        ):
            change = (1.0 - momentum) * (ops.convert_to_tensor(variable) - average)
            average.assign(average + change)


class Adam(_Averages, keras.optimizers.Adam):
    """Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980)."""


class AdamW(_Averages, keras.optimizers.AdamW):
    """AdamW (Loshchilov & Hutter, 2019, https://arxiv.org/abs/1711.05101)."""


class Muon(_Averages, keras.optimizers.Muon):
    """Muon for the kernels of convolutions, AdamW for everything else.

    A kernel (height, width, in, out) is orthogonalised as the matrix
    (height * width * in, out). Kernels of few channels, such as those that see the
    picture, kernels of layers that are called heatmaps, and depthwise kernels, which
    are no matrices, stay with AdamW.

    Reference:
        Jordan et al., "Muon: an optimizer for hidden layers in neural
        networks", 2024, https://kellerjordan.github.io/posts/muon/; the scale of
        a step follows Liu et al., "Muon is scalable for LLM training", 2025,
        https://arxiv.org/abs/2502.16982, section 2.2.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        shape = variable.shape
        if len(shape) != 4 or min(shape[2:]) < MIN_MUON_CHANNELS:
            return True
        return "heatmaps" in variable.path

    def _muon_update_step(
        self, gradient: Any, variable: Any, lr: Any, momentum: Any
    ) -> None:
        shape = variable.shape
        self.assign(momentum, self.momentum * momentum + gradient)
        ahead = gradient + self.momentum * momentum if self.nesterov else momentum
        matrix = ops.reshape(ahead, (-1, shape[-1]))
        step = self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
        size = max(matrix.shape[0], matrix.shape[1]) ** 0.5 * self.rms_rate
        self.assign_sub(variable, ops.reshape(lr * size * step, shape))


def build_optimizer(
    config: TrainingConfig,
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    num_replicas: int = 1,
) -> keras.optimizers.Optimizer:
    """Build the optimizer.

    Args:
        config: The configuration.
        schedule: Of the learning rate.
        num_replicas: Devices that share each batch. Each clips its part of the
            gradient, of which the step takes the sum.
    """
    arguments: dict[str, Any] = {
        "learning_rate": schedule,
        "global_clipnorm": config.clip_norm / num_replicas or None,
        "use_ema": config.ema > 0,
        "ema_momentum": config.ema or 0.99,
    }
    if config.optimizer == "adam":
        return Adam(**arguments)
    optimizer: Any
    if config.optimizer == "muon":
        decay = config.weight_decay
        optimizer = Muon(weight_decay=decay, adam_weight_decay=decay, **arguments)
    else:
        optimizer = AdamW(weight_decay=config.weight_decay, **arguments)
    # Decay acts on kernels; scales and shifts have nothing to gain from it.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def build_schedule(
    config: TrainingConfig, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Build the learning rate as a function of the step."""
    schedules = keras.optimizers.schedules
    if config.schedule == "exponential":
        return schedules.ExponentialDecay(
            config.learning_rate, config.decay_steps, config.decay_rate, staircase=True
        )
    warmup = min(config.warmup_steps, total_steps // 2)
    return schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(total_steps - warmup, 1),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
