"""Articulated 3D figures for ``stick_people``: body sizes, poses, kinematics.

The body's frame is right-handed: x to the person's own left, y up, z forward.
Lengths are fractions of the standing height; angles are degrees and stay
within what joints can do.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinypose.geometry import FloatArray

Range = tuple[float, float]
Limb = tuple[Range, Range, Range, Range]

SIDES = {"left": 1.0, "right": -1.0}

SHOULDER_LIMITS: Limb = ((-60, 180), (0, 175), (-70, 80), (0, 150))
"""Arm: flexion forward, abduction outward, inward turn, elbow flexion."""

HIP_LIMITS: Limb = ((-30, 125), (-12, 75), (-40, 40), (0, 145))
"""Leg: flexion forward, abduction outward, inward turn, knee flexion."""


HEAD_LIMITS: tuple[Range, Range, Range] = ((-55, 55), (-30, 30), (-15, 15))
"""Turn, nod and tilt of the head against the chest."""


@dataclass(frozen=True, kw_only=True)
class PoseKind:
    """Ranges from which a kind of pose draws its angles.

    Args:
        weight: How often it is drawn, relative to the others.
        arms: Two arms, each as in ``SHOULDER_LIMITS``. Which is the left one
            is drawn; the first arm goes with the second leg, as in a stride.
        legs: Two legs, each as in ``HIP_LIMITS``.
        spine: Bend forward.
        lean: Bend towards the left.
        twist: Turn of the chest against the pelvis.
        tilt: Turn of the whole body forward.
        roll: Turn of the whole body to its side.
    """

    weight: float
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    spine: Range = (-8, 12)
    lean: Range = (-8, 8)
    twist: Range = (-12, 12)
    tilt: Range = (-6, 8)
    roll: Range = (-6, 6)

    @cached_property
    def ranges(self) -> FloatArray:
        """All ranges (24, 2): trunk, head, two arms, two legs."""
        trunk = (self.tilt, self.roll, self.spine, self.lean, self.twist)
        limbs = (*self.arms, *self.legs)
        return np.array([*trunk, *HEAD_LIMITS, *(r for limb in limbs for r in limb)])


_HANGING: Limb = ((-18, 22), (3, 22), (-20, 40), (2, 35))
_ON_HIP: Limb = ((-25, 0), (35, 55), (45, 75), (80, 115))
_UP: Limb = ((-10, 15), (125, 172), (-40, 40), (0, 60))
_OUT: Limb = ((-15, 30), (65, 115), (-60, 60), (0, 50))
_FORWARD: Limb = ((60, 115), (0, 25), (-20, 50), (0, 70))
_BENT: Limb = ((0, 40), (5, 25), (0, 60), (60, 125))
_STRAIGHT: Limb = ((-6, 10), (0, 10), (-15, 10), (0, 12))
_WIDE: Limb = ((-5, 25), (12, 32), (-30, 5), (0, 30))
_SEAT: Limb = ((75, 105), (2, 25), (-15, 15), (60, 110))
_SQUAT: Limb = ((80, 120), (10, 40), (-30, 0), (90, 140))
_ANY_ARM: Limb = ((-50, 160), (0, 160), (-60, 75), (0, 140))
_ANY_LEG: Limb = ((-25, 110), (-5, 60), (-35, 25), (0, 130))

# fmt: off
POSE_KINDS = (
    PoseKind(weight=3, arms=(_HANGING, _HANGING), legs=(_STRAIGHT, _STRAIGHT)),
    PoseKind(weight=1, arms=(_ON_HIP, _HANGING), legs=(_STRAIGHT, _WIDE)),
    PoseKind(weight=1, arms=(_ON_HIP, _ON_HIP), legs=(_WIDE, _STRAIGHT)),
    PoseKind(weight=2, arms=(_BENT, _FORWARD), legs=(_STRAIGHT, _WIDE)),
    PoseKind(  # walking
        weight=3,
        arms=(((12, 42), (2, 14), (0, 30), (10, 45)),
              ((-38, -8), (4, 16), (0, 30), (5, 35))),
        legs=(((14, 38), (-2, 6), (-8, 8), (0, 25)),
              ((-28, -6), (-2, 6), (-8, 8), (8, 45))),
    ),
    PoseKind(  # running
        weight=3, spine=(2, 18), tilt=(0, 18), twist=(-25, 25),
        arms=(((25, 75), (2, 20), (10, 50), (70, 115)),
              ((-60, -22), (8, 30), (0, 30), (65, 110))),
        legs=(((45, 95), (-4, 10), (-10, 10), (55, 115)),
              ((-28, 5), (-2, 8), (-10, 10), (5, 75))),
    ),
    PoseKind(weight=2, arms=(_BENT, _HANGING), legs=(_SEAT, _SEAT), spine=(-5, 30)),
    PoseKind(weight=1, arms=(_FORWARD, _BENT), legs=(_SQUAT, _SQUAT),
             spine=(10, 50), tilt=(0, 25)),
    PoseKind(weight=2, arms=(_UP, _UP), legs=(_STRAIGHT, _WIDE)),
    PoseKind(weight=2, arms=(_UP, _OUT), legs=(_WIDE, _WIDE)),
    PoseKind(weight=2, arms=(_OUT, _OUT), legs=(_WIDE, _STRAIGHT)),
    PoseKind(  # jumping
        weight=2, tilt=(-15, 15), roll=(-15, 15), spine=(-20, 25),
        arms=(_UP, _OUT), legs=(((-25, 60), (5, 45), (-30, 10), (10, 110)),) * 2,
    ),
    PoseKind(weight=1, arms=(_FORWARD, _FORWARD), legs=(_WIDE, _WIDE),
             spine=(35, 65), tilt=(15, 40)),  # bending
    PoseKind(  # kicking
        weight=2, spine=(-15, 15), tilt=(-20, 5), arms=(_OUT, _HANGING),
        legs=(((50, 110), (0, 40), (-20, 20), (0, 50)), _STRAIGHT),
    ),
    PoseKind(  # throwing, serving
        weight=2, twist=(-35, 35), lean=(-20, 20),
        arms=(((-30, 20), (70, 130), (-60, 0), (40, 120)), _FORWARD),
        legs=(((15, 55), (0, 20), (-15, 15), (10, 60)), _WIDE),
    ),
    PoseKind(  # balancing
        weight=1, tilt=(20, 75), arms=(_OUT, _FORWARD),
        legs=(((30, 80), (-2, 5), (-5, 5), (0, 15)),
              ((-25, 0), (0, 15), (-10, 10), (0, 30))),
    ),
    PoseKind(weight=1, tilt=(70, 110), arms=(_FORWARD, _UP),
             legs=(_STRAIGHT, _WIDE)),  # lying face down, diving
    PoseKind(weight=1, tilt=(-110, -70), arms=(_HANGING, _UP),
             legs=(_WIDE, _SEAT)),  # lying face up
    PoseKind(weight=0.7, roll=(70, 110), arms=(_HANGING, _BENT),
             legs=(_STRAIGHT, _WIDE)),  # lying on a side
    PoseKind(  # handstand, cartwheel
        weight=1, roll=(130, 230), spine=(-20, 15),
        arms=(((-5, 10), (150, 175), (-20, 20), (0, 20)),) * 2,
        legs=(((-20, 50), (0, 65), (-20, 10), (0, 60)),) * 2,
    ),
    PoseKind(weight=3, arms=(_ANY_ARM, _ANY_ARM), legs=(_ANY_LEG, _ANY_LEG),
             spine=(-15, 40), lean=(-20, 20), twist=(-35, 35), tilt=(-20, 35),
             roll=(-20, 20)),
)
# fmt: on
_KIND_EDGES = np.cumsum([kind.weight for kind in POSE_KINDS])


@dataclass(frozen=True, kw_only=True)
class Body:
    """Sizes of one person, as fractions of the standing height.

    Args:
        torso: Pelvis to neck.
        shoulder: Half the distance between the shoulder joints.
        hip: Half the distance between the hip joints.
        upper_arm: Shoulder to elbow.
        forearm: Elbow to wrist.
        thigh: Hip to knee.
        shin: Knee to ankle.
        head: Neck to head top.
        girth: Factor on the thickness of everything.
    """

    torso: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    head: float
    girth: float


@dataclass(frozen=True, eq=False)
class Figure:
    """A posed body in 3D.

    Args:
        body: Its sizes.
        points: Named points (3,): the keypoints, ``pelvis``, ``waist``,
            ``chest``, ``head``, and both sides' ``hand`` and ``toe``.
        frames: Rotations (3, 3) of ``pelvis``, ``chest`` and ``head``; columns
            are the part's own left, up and forward.
    """

    body: Body
    points: dict[str, FloatArray]
    frames: dict[str, FloatArray]

    def rotated(self, rotation: FloatArray) -> "Figure":
        """Return the figure turned by a rotation (3, 3) about its pelvis."""
        return Figure(
            self.body,
            {name: rotation @ point for name, point in self.points.items()},
            {name: rotation @ frame for name, frame in self.frames.items()},
        )


def draw_body(rng: np.random.Generator) -> Body:
    """Return a random person's sizes; one in six is a child."""
    spread = rng.normal(1.0, 0.05, 8).clip(0.87, 1.13)
    if rng.random() < 1 / 6:
        spread[-1] *= rng.uniform(1.15, 1.4)
        spread[3:7] *= rng.uniform(0.85, 0.95)
    factors = spread.tolist()
    return Body(
        torso=0.30 * factors[0],
        shoulder=0.112 * factors[1],
        hip=0.058 * factors[2],
        upper_arm=0.172 * factors[3],
        forearm=0.148 * factors[4],
        thigh=0.245 * factors[5],
        shin=0.240 * factors[6],
        head=0.168 * factors[7],
        girth=float(rng.uniform(0.8, 1.25)),
    )


def draw_figure(rng: np.random.Generator) -> Figure:
    """Return a random person in a random pose, facing +z."""
    body = draw_body(rng)
    pick = np.searchsorted(_KIND_EDGES, rng.uniform(0, _KIND_EDGES[-1]), "right")
    ranges = np.deg2rad(POSE_KINDS[min(int(pick), len(POSE_KINDS) - 1)].ranges)
    angles = rng.uniform(ranges[:, 0], ranges[:, 1])
    tilt, roll, spine, lean, twist, *neck = angles[:8].tolist()
    whole = _turn_z(roll) @ _turn_x(tilt)
    half = _turn_x(spine / 2) @ _turn_z(lean / 2)
    chest = whole @ half @ half @ _turn_y(twist)
    head = chest @ _turn_y(neck[0]) @ _turn_x(neck[1]) @ _turn_z(neck[2])
    points = _trunk(body, whole, whole @ half, chest, head)
    sides = list(SIDES) if rng.random() < 0.5 else list(SIDES)[::-1]
    for side, arm, leg in zip(sides, (8, 12), (20, 16), strict=True):
        _add_arm(points, body, side, chest, angles[arm : arm + 4].tolist())
        _add_leg(points, body, side, whole, angles[leg : leg + 4].tolist())
    return Figure(body, points, {"pelvis": whole, "chest": chest, "head": head})


def draw_view(rng: np.random.Generator) -> FloatArray:
    """Return a random camera rotation (3, 3): any side, mostly at eye level."""
    side = rng.random()
    if side < 0.45:  # more often than not people face the camera
        yaw = rng.normal(0, 0.55)
    else:
        yaw = rng.uniform(-np.pi, np.pi)
    pitch = rng.normal(0.08, 0.5 if rng.random() < 0.15 else 0.15)
    roll = rng.normal(0, 0.08)
    return _turn_z(roll) @ _turn_x(float(np.clip(pitch, -1.1, 1.1))) @ _turn_y(yaw)


def _trunk(
    body: Body,
    pelvis: FloatArray,
    waist: FloatArray,
    chest: FloatArray,
    head: FloatArray,
) -> dict[str, FloatArray]:
    """Return the points from the pelvis to the head top, hips and shoulders."""
    points = {"pelvis": np.zeros(3)}
    points["waist"] = pelvis[:, 1] * 0.2 * body.torso + waist[:, 1] * 0.2 * body.torso
    points["chest"] = points["waist"] + chest[:, 1] * 0.33 * body.torso
    points["neck"] = points["waist"] + chest[:, 1] * 0.6 * body.torso
    points["head"] = points["neck"] + head[:, 1] * 0.58 * body.head
    points["head_top"] = points["neck"] + head[:, 1] * body.head
    for side, sign in SIDES.items():
        points[f"{side}_shoulder"] = points["neck"] + chest @ np.array(
            [sign * body.shoulder, -0.02, 0.0]
        )
        points[f"{side}_hip"] = sign * body.hip * pelvis[:, 0]
    return points


def _add_arm(
    points: dict[str, FloatArray],
    body: Body,
    side: str,
    chest: FloatArray,
    angles: list[float],
) -> None:
    flexion, abduction, inward, elbow = angles
    sign = SIDES[side]
    upper = chest @ _turn_x(-flexion) @ _turn_z(sign * abduction)
    upper = upper @ _turn_y(-sign * inward)
    lower = upper @ _turn_x(-elbow)
    points[f"{side}_elbow"] = points[f"{side}_shoulder"] - upper[:, 1] * body.upper_arm
    points[f"{side}_wrist"] = points[f"{side}_elbow"] - lower[:, 1] * body.forearm
    points[f"{side}_hand"] = points[f"{side}_wrist"] - lower[:, 1] * 0.055


def _add_leg(
    points: dict[str, FloatArray],
    body: Body,
    side: str,
    pelvis: FloatArray,
    angles: list[float],
) -> None:
    flexion, abduction, inward, knee = angles
    sign = SIDES[side]
    upper = pelvis @ _turn_x(-flexion) @ _turn_z(sign * abduction)
    upper = upper @ _turn_y(-sign * inward)
    lower = upper @ _turn_x(knee)
    points[f"{side}_knee"] = points[f"{side}_hip"] - upper[:, 1] * body.thigh
    points[f"{side}_ankle"] = points[f"{side}_knee"] - lower[:, 1] * body.shin
    points[f"{side}_toe"] = points[f"{side}_ankle"] + lower @ np.array(
        [0.0, -0.025, 0.1]
    )


def _turn_x(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _turn_y(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _turn_z(angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
