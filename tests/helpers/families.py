"""A network of every family, small enough for tests."""

HW = (96, 64)
SIZE = {"input_hw": HW, "num_keypoints": 5}
SMALL = {
    "conv_hourglass": {
        **SIZE,
        "channels": (8, 12, 16),
        "encoder_blocks": (1, 0, 1),
        "decoder_convs": (1, 2),
        "separable_from": 3,
    },
    "deeppose": {**SIZE, "channels": (8, 8, 12, 8, 8), "dense": 16},
    "deeppose_cascade": {
        "input_hw": (128, 120),
        "stage_hw": (64, 60),
        "num_keypoints": 5,
        "channels": (8, 8, 12, 8, 8),
        "dense": 16,
        "num_stages": 2,
        "window_hw": (64, 60),
        "window_channels": (8, 8, 12, 8, 8),
        "window_dense": 12,
        "dropout": 0.0,
    },
    "multi_resolution": {
        "input_hw": (64, 64),
        "num_keypoints": 5,
        "bank_channels": (8, 8, 12),
        "wide_channels": (12, 8),
        "window_cells": 8,
        "fine_channels": (8, 8, 12, 8),
        "dropout": 0.0,
    },
    "part_heatmap": {
        **SIZE,
        "detection_channels": (8, 8, 12, 8, 8),
        "detection_convs": (1, 1, 1, 1, 1),
        "detection_wide": 12,
        "regression_channels": (8, 8, 12, 8, 8, 12),
        "regression_kernels": (5, 3, 3, 5),
        "regression_scale": 2,
    },
    "pose_machine": {
        **SIZE,
        "features": 8,
        "image_features": 6,
        "wide_features": 12,
        "num_stages": 2,
    },
    "stacked_hourglass": {**SIZE, "depth": 1, "features": 8},
    "tiny_hourglass": {**SIZE, "depth": 2, "channels": 8},
}
