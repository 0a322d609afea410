"""Clothes for the figures of ``stick_people``, and their body parts as shapes.

A body part is a depth and the shapes that draw it. Sorted from far to near,
the parts hide one another as in a photograph.
"""

from dataclasses import dataclass

import numpy as np

from tinypose.data.figure_shapes import (
    Colour,
    Ellipsoid,
    Part,
    Segment,
    Shape,
    View,
    band,
    capsules,
    hull,
)
from tinypose.data.figures import SIDES, Figure
from tinypose.geometry import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Clothes:
    """What one person wears.

    Args:
        skin: Colour of bare skin.
        hair: Colour of the hair.
        shirt: Colour of the shirt.
        trousers: Colour of the trousers.
        shoes: Colour of the shoes.
        mark: Colour of the mark on the shirt's front and of its stripes.
        sleeve: Covered length of the arm, 0 to 2 (one per segment).
        leg: Covered length of the leg, 0.35 to 2.
        stripes: Number of stripes around the shirt.
        hat: Whether a cap with the mark's colour is worn.
        backpack: Whether a backpack in the mark's colour is worn.
        light_xy: Direction (2,) from which light falls, in the picture.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    mark: Colour
    sleeve: float
    leg: float
    stripes: int
    hat: bool
    backpack: bool
    light_xy: FloatArray


_SKINS = np.array([[250, 222, 200], [226, 178, 140], [172, 118, 82], [92, 60, 44]])
_HAIRS = np.array(
    [[30, 24, 20], [80, 50, 30], [150, 100, 50], [215, 180, 110], [170, 170, 170]]
)


def draw_clothes(rng: np.random.Generator) -> Clothes:
    """Return random clothes and colours."""
    tone = rng.uniform(0, len(_SKINS) - 1)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[low + 1] - _SKINS[low])
    hair = _HAIRS[rng.integers(len(_HAIRS))] + rng.normal(0, 8, 3)
    shirt, trousers, shoes, mark = draw_colours(rng, 4)
    if rng.random() < 0.1:
        trousers = shirt  # a track suit
    light = rng.uniform(-0.9, 0.9)
    return Clothes(
        skin=skin,
        hair=hair.clip(5, 245),
        shirt=shirt,
        trousers=trousers,
        shoes=shoes,
        mark=mark,
        sleeve=float(rng.choice([0.0, 0.55, 1.1, 1.95])),
        leg=float(rng.choice([0.4, 0.85, 1.4, 1.95, 1.95])),
        stripes=int(rng.integers(3, 7)) if rng.random() < 0.3 else 0,
        hat=bool(rng.random() < 0.15),
        backpack=bool(rng.random() < 0.12),
        light_xy=np.array([light, -1.0]) / np.hypot(light, 1.0),
    )


def draw_colours(rng: np.random.Generator, count: int) -> Colour:
    """Return random colours (count, 3), as often dull as bright."""
    grey = rng.uniform(10, 245, (count, 1))
    tint = rng.uniform(10, 245, (count, 3))
    share = rng.uniform(0, 1, (count, 1))
    return np.asarray(grey + share * (tint - grey))


def dress(figure: Figure, clothes: Clothes, view: View) -> list[Part]:
    """Return the figure's parts from far to near, the far ones to draw first."""
    parts = [*_trunk(figure, clothes, view), _head(figure, clothes, view)]
    parts += _limbs(figure, clothes, view)
    return sorted(parts, key=lambda part: part.depth)


def _limbs(figure: Figure, clothes: Clothes, view: View) -> list[Part]:
    segments = [_throat(figure, clothes)]
    for side in SIDES:
        segments += [*_arm(figure, clothes, side), *_leg(figure, clothes, side)]
    parts: dict[str, Part] = {}
    for segment, shapes in zip(
        segments, capsules(segments, view, clothes.light_xy), strict=True
    ):
        part = parts.setdefault(segment.part, Part(segment.part, segment.depth, []))
        part.shapes.extend(shapes)
    return list(parts.values())


def _throat(figure: Figure, clothes: Clothes) -> Segment:
    at, girth = figure.points, figure.body.girth
    end = (at["neck"] + at["head"]) / 2
    depth = float(at["chest"][2] + end[2] - at["neck"][2]) + 0.02
    radii = (0.03 * girth, 0.028 * girth)
    return Segment("throat", depth, at["neck"], end, radii, clothes.skin)


def _arm(figure: Figure, clothes: Clothes, side: str) -> list[Segment]:
    at, girth = figure.points, figure.body.girth
    shoulder, elbow = at[f"{side}_shoulder"], at[f"{side}_elbow"]
    wrist, hand = at[f"{side}_wrist"], at[f"{side}_hand"]
    wide, middle, thin = 0.034 * girth, 0.027 * girth, 0.019 * girth
    upper = Segment(
        f"{side}_upper_arm",
        float(shoulder[2] + elbow[2]) / 2,
        *(shoulder, elbow, (wide, middle), clothes.skin),
    )
    lower = Segment(
        f"{side}_forearm",
        float(elbow[2] + wrist[2]) / 2 + 0.005,
        *(elbow, wrist, (middle, thin), clothes.skin),
    )
    palm = lower._replace(start=wrist, end=hand, radii=(thin, 0.024))
    return [
        *_covered(upper, clothes.shirt, clothes.sleeve),
        palm,
        *_covered(lower, clothes.shirt, clothes.sleeve - 1),
    ]


def _leg(figure: Figure, clothes: Clothes, side: str) -> list[Segment]:
    at, girth = figure.points, figure.body.girth
    hip, knee = at[f"{side}_hip"], at[f"{side}_knee"]
    ankle, toe = at[f"{side}_ankle"], at[f"{side}_toe"]
    wide, middle, thin = 0.056 * girth, 0.037 * girth, 0.024 * girth
    upper = Segment(
        f"{side}_thigh",
        float(hip[2] + knee[2]) / 2,
        *(hip, knee, (wide, middle), clothes.skin),
    )
    lower = Segment(
        f"{side}_shin",
        float(knee[2] + ankle[2]) / 2,
        *(knee, ankle, (middle, thin), clothes.skin),
    )
    heel = ankle + 0.2 * (ankle - toe)
    shoe = lower._replace(
        start=heel, end=toe, radii=(0.027, 0.02), colour=clothes.shoes
    )
    shin = _covered(lower, clothes.trousers, clothes.leg - 1)
    # A toe that points at the camera lies before the shin, else behind it.
    shin = [*shin, shoe] if toe[2] > ankle[2] else [shoe, *shin]
    return [*_covered(upper, clothes.trousers, clothes.leg), *shin]


def _covered(bare: Segment, cloth: Colour, covered: float) -> list[Segment]:
    """Return a limb whose upper part, up to ``covered`` of 1, is in cloth."""
    segments = [bare] if covered < 1 else []
    if covered > 0:
        reach = min(covered, 1.0)
        end = bare.start + reach * (bare.end - bare.start)
        radius = bare.radii[0] + reach * (bare.radii[1] - bare.radii[0])
        radii = (bare.radii[0] * 1.1, radius * 1.18)
        segments.append(bare._replace(end=end, radii=radii, colour=cloth))
    return segments


def _trunk(figure: Figure, clothes: Clothes, view: View) -> list[Part]:
    at, body = figure.points, figure.body
    girth = 0.5 + 0.5 * body.girth

    def ball(point: str, frame: str, width: float, *radii: float) -> Ellipsoid:
        size = (width * (0.5 + 0.5 * girth), radii[0], radii[1] * girth)
        return Ellipsoid(figure.frames[frame], at[point], size, view)

    pelvis = ball("pelvis", "pelvis", 1.65 * body.hip, 0.06, 0.066)
    waist = ball("waist", "pelvis", 0.84 * body.shoulder, 0.05, 0.06)
    chest = ball("chest", "chest", 1.02 * body.shoulder, 0.095, 0.075)
    collar = ball("neck", "chest", 0.95 * body.shoulder, 0.022, 0.035)
    trousers = [
        Shape(hull(waist, pelvis), clothes.trousers * 0.8),
        Shape(pelvis.outline(0.8), clothes.trousers * 0.92),
    ]
    depth = float(at["chest"][2] + at["waist"][2]) / 2
    return [
        Part("pelvis", float(at["pelvis"][2]) - 0.005, trousers),
        Part("chest", depth + 0.01, _shirt(clothes, waist, chest, collar)),
    ]


def _shirt(
    clothes: Clothes, waist: Ellipsoid, chest: Ellipsoid, collar: Ellipsoid
) -> list[Shape]:
    rim = hull(collar, chest, waist)
    centre = rim.mean(axis=0) + 2.0 * clothes.light_xy
    core = centre + 0.8 * (rim - centre)
    shapes = [Shape(rim, clothes.shirt * 0.82), Shape(core, clothes.shirt)]
    for stripe in range(clothes.stripes):
        start = (stripe + 0.25) / clothes.stripes
        outline = band(waist, chest, start, 0.5 / clothes.stripes)
        shapes.append(Shape(outline, clothes.mark))
    shapes += chest.patch((0.0, 0.25, 1.0), 0.5, clothes.mark * 0.97)
    shapes += collar.patch((0.0, 0.2, 1.0), 0.55, clothes.skin * 0.92)
    if clothes.backpack:
        shapes += chest.patch((0.0, -0.1, -1.0), 1.05, clothes.mark * 0.7)
    return shapes


def _head(figure: Figure, clothes: Clothes, view: View) -> Part:
    size = figure.body.head
    ball = Ellipsoid(
        figure.frames["head"],
        figure.points["head"],
        (0.31 * size, 0.42 * size, 0.37 * size),
        view,
    )
    skin = clothes.skin
    shapes = [Shape(ball.outline(1.05), clothes.hair * 0.85)]
    shapes += ball.patch((0.0, 0.8, -0.6), 0.8, clothes.hair)
    for sign in SIDES.values():
        shapes += ball.patch((sign, -0.1, -0.05), 0.3, skin * 0.8)
    shapes += ball.patch((0.0, -0.42, 1.0), 1.12, skin * 0.95)
    for sign in SIDES.values():
        shapes += ball.patch((sign * 0.42, 0.05, 1.0), 0.19, np.full(3, 235.0))
        shapes += ball.patch((sign * 0.42, 0.05, 1.0), 0.11, np.full(3, 25.0))
    shapes += ball.patch((0.0, -0.25, 1.0), 0.16, skin * 0.75)
    shapes += ball.patch((0.0, -0.72, 1.0), 0.18, np.array([165.0, 60.0, 60.0]))
    if clothes.hat:
        shapes += ball.patch((0.0, 1.0, 0.12), 0.95, clothes.mark)
        shapes += ball.patch((0.0, 0.5, 1.0), 0.3, clothes.mark * 0.7)
    return Part("head", float(figure.points["head"][2]) + 0.03, shapes)
